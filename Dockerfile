# syntax=docker/dockerfile:1
# dubkit with everything optional.
#   CPU   docker build -t dubkit .
#   CUDA  docker build -t dubkit:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Run it where the film is:
#   docker run --rm -v "$PWD:/films" dubkit run movie.mp4 --audio dub.wav        (CUDA: --gpus all)

ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=full
# Some optional packages have no wheel for every machine.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential git \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/dubkit
ENV PATH=/opt/dubkit/bin:$PATH
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY presets presets
COPY dubkit dubkit
# One resolution for all, so that torch is the build of TORCH_INDEX in the version the extras want.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --extra-index-url "${TORCH_INDEX}" ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 dubkit \
    && install -d -o dubkit -g dubkit /films
COPY --from=build /opt/dubkit /opt/dubkit
ENV PATH=/opt/dubkit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER dubkit
WORKDIR /films
ENTRYPOINT ["dubkit"]
CMD ["--help"]
