# The toolkit in a container, for any user:
#   docker build -t avemo .                              CPU
#   docker build --build-arg JAX=cuda13 -t avemo .       NVIDIA GPUs; run it with --gpus=all
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" avemo --config=/opt/avemo/configs/demo.py:audio
# Runs and prepared sets lie in /data, the working directory; the user needs neither a name nor a home folder.

# Another base is any image with Python 3.11 to 3.13, such as one of a mirror.
ARG BASE=docker.io/library/python:3.12-slim-bookworm
FROM ${BASE}

# "cpu", or an extra of JAX: cuda13, cuda12, rocm.
ARG JAX=cpu
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/avemo
COPY requirements.txt requirements-dev.txt requirements.lock ./
RUN python -m pip install --require-hashes -r requirements.lock
# The wheels of an accelerator are of the locked version of JAX; the lock has no hashes of them.
RUN if [ "${JAX}" != cpu ]; then \
      python -m pip install "jax[${JAX}]==$(python -c 'import importlib.metadata as m; print(m.version("jax"))')"; \
    fi

COPY avemo_jax avemo_jax/
COPY configs configs/
COPY data_prep data_prep/
COPY models models/
COPY run.py ./
RUN python -m compileall -q avemo_jax configs data_prep && mkdir -m 1777 /data

WORKDIR /data
ENTRYPOINT ["python", "/opt/avemo/run.py"]
