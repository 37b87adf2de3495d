# Two images. `gateway` is Bun alone. `log` has Node beside it, with the Kafka client built for it: relay, consumers,
# replay and the commands.
ARG BUN_IMAGE=oven/bun:1.4.5-slim
ARG NODE_IMAGE=node:24.11.0-bookworm

FROM ${BUN_IMAGE} AS bun

FROM bun AS packages
WORKDIR /app
COPY package.json bun.lock ./
COPY patches patches
COPY runtime/install.ts runtime/install.ts
RUN bun install --frozen-lockfile --production \
 && bun -e "(await import('/app/runtime/install.ts')).markInstalled('/app')"

# Prebuilt where that can be had, else from the package's own source, which takes a minute or two.
FROM ${NODE_IMAGE} AS kafka
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun
WORKDIR /app
COPY --from=packages /app ./
COPY runtime runtime
COPY cli/setup cli/setup
RUN bun run setup:kafka

FROM packages AS gateway-packages
RUN rm -rf node_modules/@confluentinc node_modules/@mapbox node_modules/@electric-sql node_modules/nan

FROM bun AS gateway
ENV NODE_ENV=production PORT=8080
WORKDIR /app
COPY --from=gateway-packages /app/node_modules node_modules
COPY . .
USER bun
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s \
  CMD ["bun", "-e", "process.exit((await fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`)).ok ? 0 : 1)"]
CMD ["bun", "run", "gateway"]

FROM ${NODE_IMAGE}-slim AS log
# What the client is linked against when it was built from its source.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcurl4 libsasl2-2 libssl3 libzstd1 zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun
ENV NODE_ENV=production PORT=8090
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=kafka /app/node_modules/@confluentinc/kafka-javascript/build node_modules/@confluentinc/kafka-javascript/build
COPY . .
USER node
EXPOSE 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s \
  CMD ["bun", "-e", "process.exit((await fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`)).ok ? 0 : 1)"]
CMD ["bun", "run", "relay"]
