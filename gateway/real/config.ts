import { ConfigError, type Env, together } from '#runtime/env.ts'
import { telemetryConfig } from '#runtime/telemetry.ts'
import { type GatewayConfig, gatewayConfig, type Servers, serverVariables } from '../config.ts'

export interface RealConfig extends GatewayConfig {
  servers: Servers
}

/** Of a gateway on real servers. Throws a `ConfigError` with every problem of the environment, telemetry's included. */
export function realConfig(env: Env, hostName: string): RealConfig {
  const { config } = together({
    config: () => gatewayConfig(env, hostName),
    servers: () => refuseWithout(env),
    telemetry: () => telemetryConfig(env),
  })
  const { servers } = config
  if (servers === null) throw new ConfigError(serverVariables.map(missing))
  return { ...config, servers }
}

/** Without some of them the gateway's own configuration says so; without any it would be an embedded one. */
function refuseWithout(env: Env): void {
  if (serverVariables.every((name) => !env[name])) {
    throw new ConfigError(serverVariables.map(missing))
  }
}

function missing(name: string): string {
  return `${name}: must be set`
}
