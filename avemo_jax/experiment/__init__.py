"""One experiment: corpus x system x protocol, from prepared sets to a finished run directory."""
