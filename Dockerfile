# The program as a container: its dist, what that needs at run time, and nothing else. Postgres and Redis are others' (DATABASE_URL,
# REDIS_URL): the Postgres that npm brings is left out. test/deploy/stack.test.ts does these steps by hand, so every RUN
# stays below its WORKDIR.
ARG NODE=node:24-slim

FROM ${NODE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY demo demo
RUN npm run build && mkdir data

FROM ${NODE}
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY migrations migrations
# The archive is the only thing that is written, and /tmp by nobody but exports of workbooks: the rest may be read-only.
COPY --from=build --chown=1000:1000 /app/data /data
ENV NODE_ENV=production SETTLESTREAM_DATA_DIR=/data SETTLESTREAM_HTTP_HOST=0.0.0.0
USER 1000:1000
VOLUME /data
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.SETTLESTREAM_HTTP_PORT || 9464) + '/healthz').then((page) => process.exit(page.ok ? 0 : 1), () => process.exit(1))"]
# The program itself, so that signals reach it.
ENTRYPOINT ["node", "/app/bin/settlestream.js"]
CMD ["run"]
