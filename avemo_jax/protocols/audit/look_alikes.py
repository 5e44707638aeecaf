"""Names of speakers, clips and corpora that differ by more than their spelling and are probably one.

All functions compare identities (`avemo_jax.identity`), so that mere spellings are one name already.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

# Words for "speaker" before a number, which do not distinguish speakers.
_SPEAKER_WORDS = frozenset(
    (
        *("speaker", "speakerid", "spk", "spkr", "spkid", "sp", "s", "actor", "actorid", "actress", "act", "talker", "user", "userid"),
        *("subject", "subjectid", "subj", "sub", "sbj", "person", "personid", "pers", "participant", "participantid", "part"),
        *("client", "clientid", "performer", "reader", "voice", "proband", "vp", "sprecher", "schauspieler", "locuteur", "acteur"),
        *("id", "no", "nr", "num", "number"),
    )
)
_GENDER_WORDS = frozenset(("f", "m", "w", "female", "male", "woman", "man"))
# Letters that Unicode does not take apart, and Cyrillic and Greek ones that look like Latin ones.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict(zip("авеіјкмнорѕтухαεικνορτυχ", "abeijkmhopstyxaeikvoptux", strict=True))
)
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_LOST_CHARACTERS = re.compile("[?\ufffd]")
_MOST_LOST_CHARACTERS = 8  # the time to compare grows exponentially with their number
_COPY_AFTER = re.compile(r"(?:[\s_-]+(?:copy|kopie|copie|copia)[\s_-]*\d*|[\s_-]*\(\d+\))+$")
_COPY_BEFORE = re.compile(r"^(?:copy of|kopie von|copie de|copia de) ")


def look_alikes(identities: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different identities of speakers that are probably one person.

    They look alike if only separators, accents, the alphabet, the order of words or a word for "speaker" differ ("actor_1" and "actor1",
    "spk-3" and "3", "Müller" and "mueller", "doe, john" and "john doe"), if a program lost some letters of one ("jos?"), if one is the
    number of the other ("3" and "luna3", "actor 1" and "1_f"), or if one is the other with a number appended ("maria" and "maria_2").
    "f1" and "m1", or "maria_1" and "maria_2", do not.
    """
    by_core: dict[str, list[str]] = defaultdict(list)
    names = sorted(set(identities) - {""})
    for name in names:
        for core in _cores(name):
            by_core[core].append(name)
    pairs = [pair for alike in by_core.values() for pair in itertools.combinations(alike, 2)]
    for core, alike in by_core.items():
        numbers, letters, start = re.findall(r"\d+", core), re.sub(r"\d+", "", core), re.sub(r"\d+$", "", core)
        others: list[str] = []
        if len(numbers) == 1 and core != numbers[0]:
            others += [name for name in by_core.get(numbers[0], ()) if name.isdecimal() or letters in _GENDER_WORDS]
        if start != core and len(start) > 1 and start.isalpha():
            others += by_core.get(start, ())
        pairs += [(other, name) for other in others for name in alike]
    pairs += _with_lost_characters(names)
    return _each_once(pairs)


def look_alikes_in_corpora(speakers: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return pairs of speakers that are probably one, in one corpus or in two that may be one; these may also have the same name.

    Args:
      speakers: corpus, name in the corpus, and name that is returned; all are identities.
    """
    of_corpus: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for corpus, name, speaker in speakers:
        of_corpus[corpus][name].add(speaker)
    pairs: dict[tuple[str, str], None] = {}
    for first, second in itertools.combinations_with_replacement(sorted(of_corpus), 2):
        if may_be_one_corpus(first, second):
            both = [of_corpus[first], of_corpus[second]]
            named = {name: sorted(set().union(*(one.get(name, ()) for one in both))) for name in sorted(both[0] | both[1])}
            pairs |= dict.fromkeys(pair for same in named.values() for pair in itertools.combinations(same, 2))
            pairs |= dict.fromkeys(pair for one, other in look_alikes(named) for pair in itertools.product(named[one], named[other]))
    return list(pairs)


def _with_lost_characters(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of a name with question marks, which programs write for letters that they cannot encode, and a name that it may be."""
    names = list(names)
    pairs = []
    for damaged in names:
        num_lost = len(_LOST_CHARACTERS.findall(damaged))
        if 0 < num_lost <= _MOST_LOST_CHARACTERS and re.search(r"[^\W\d_]", damaged):
            pattern = re.compile(".{0,2}".join(map(re.escape, _LOST_CHARACTERS.split(damaged))))
            pairs += [(damaged, name) for name in names if not name.isascii() and name != damaged and pattern.fullmatch(name)]
    return pairs


def _cores(name: str) -> set[str]:
    """Return a speaker's name without accents, separators and words for "speaker", in each way to write it."""
    cores = set()
    for form in {name, name.translate(_SPELLED_OUT)}:
        plain = "".join(one for one in unicodedata.normalize("NFKD", form) if unicodedata.category(one) != "Mn")
        tokens = re.findall(r"[^\W\d_]+|\d+", plain.translate(_PLAIN_LETTERS))
        has_number = any(token.isdecimal() for token in tokens)
        kept = [token for token in tokens if token not in _SPEAKER_WORDS] if has_number else tokens
        text = " ".join(token.lstrip("0") or "0" if token.isdecimal() else token for token in kept or tokens)
        cores.add(re.sub(r" (?!\d)|(?<!\d) ", "", text) or name)  # numbers stay separate, because "1-1" is not "11"
        if len(tokens) > 1 and not has_number:
            cores.add(",".join(sorted(tokens)))  # "doe, john" and "john doe"
    return cores


def clip_look_alikes(identities: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different identities of clips that are probably one.

    They look alike if one has more leading folders ("actor_1/a" and "a"), if only separators differ ("dc/a1" and "dc_a1"), or if a file
    manager has named one as a copy of the other ("a" and "a (1)", "a - copy", "copy of a").
    """
    names = sorted(set(identities) - {""})
    by_words: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_words[re.sub(r"[\W_]+", "-", name).strip("-")].append(name)
    pairs = [pair for alike in by_words.values() for pair in itertools.combinations(alike, 2)]
    all_of = set(names)
    for name in names:
        parts = name.split("/")
        pairs += [(tail, name) for at in range(1, len(parts)) if (tail := "/".join(parts[at:])) in all_of]
        original = "/".join([*parts[:-1], _COPY_BEFORE.sub("", _COPY_AFTER.sub("", parts[-1]))])
        pairs += [(original, name)] if original != name and original in all_of else []
    return _each_once(pairs)


def _each_once(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((min(pair), max(pair)) for pair in pairs))


def may_be_one_corpus(first: str, second: str) -> bool:
    """Return whether two identities of corpora may name one corpus, or parts of one: "crema-d" and "cremad", "ravdess_song" and "ravdess".

    "" is an unknown corpus, which may be any.
    """
    words = [re.findall(r"[^\W\d_]+", name) for name in (first, second)]
    letters = ["".join(one) for one in words]
    share_word = any(len(word) > 3 for word in {*words[0]} & {*words[1]}) or words[0][:1] == words[1][:1]
    return not first or not second or share_word or any(one and other.startswith(one) for one, other in (letters, letters[::-1]))
