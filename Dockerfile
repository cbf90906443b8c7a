FROM oven/bun:1.4.5-debian AS build
WORKDIR /build
COPY package.json bun.lock bunfig.toml tsconfig.json ./
RUN bun install --frozen-lockfile --production
COPY migrations migrations
COPY src src
RUN bun run build && mkdir -m 0700 /data

# glibc and libgcc, no shell, no package manager; runs as user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/dist/inlet /usr/local/bin/inlet
COPY --from=build --chown=nonroot:nonroot /data /data
# By number, so that runAsNonRoot of Kubernetes can tell; nothing outside /data is ever written (docker run --read-only).
USER 65532:65532
ENV INLET_HOST=0.0.0.0 INLET_DATA_DIR=/data
WORKDIR /data
VOLUME /data
EXPOSE 8484
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["inlet", "health"]
ENTRYPOINT ["inlet"]
CMD ["serve"]
