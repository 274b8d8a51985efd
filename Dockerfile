# Regatta in a container, built from the registries alone: Docker Hub for the two images, crates.io for the crates.
#
#   docker build -t regatta .
#   docker run --rm -v "$PWD:/work" regatta run configs/quickstart.yaml
#
# The program chooses its instructions when it starts, so one image serves every processor of its architecture.

FROM rust:1.95-slim-bookworm AS build
# A C compiler is in the image; crates that build C code need it and nothing else.
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p regatta && strip target/release/regatta

FROM debian:bookworm-slim
# Files that a study writes belong to whoever started the container: docker run --user "$(id -u):$(id -g)"
COPY --from=build /source/target/release/regatta /usr/local/bin/regatta
COPY --from=build /source/LICENSE-APACHE /source/LICENSE-MIT /usr/share/doc/regatta/
COPY --from=build /source/configs /usr/share/regatta/configs
WORKDIR /work
ENTRYPOINT ["regatta"]
CMD ["--help"]
