#!/bin/bash
# One run shared out over the hosts of a TPU pod slice: the same command on every host, which JAX recognises.
#   docs/launch/tpu_pod.sh NAME ZONE configs/ravdess.py:gru_attention /mnt/shared/RAVDESS
# The repository with its .venv (pip install "jax[tpu]" within requirements.txt's range) and the corpus lie below /mnt/shared, a Filestore
# or another NFS that all hosts mount. To stop: Ctrl-C here, or a TERM to the process of any host; all of them save.
set -euo pipefail

name="${1:?name of the TPU VM}"
zone="${2:?its zone}"
experiment="${3:?the experiment, such as configs/ravdess.py:gru_attention}"
corpus_root="${4:?the folder of the corpus, on the shared disk}"
shared="${AVEMO_SHARED:-/mnt/shared}"

gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="cd '$shared/avemo' && .venv/bin/python run.py \
  --config='$experiment' \
  --config.corpus.root='$corpus_root' \
  --config.prepared_dir='$shared/prepared' \
  --config.workdir='$shared/runs/$name' \
  --config.devices.distributed=True"
