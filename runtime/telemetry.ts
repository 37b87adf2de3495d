import { z } from 'zod'
import { boolean, type Env, integer, parseEnv } from './env.ts'

export interface Telemetry {
  /** Sends what is collected; resolves within 2 s, a dead collector or not. */
  shutdown(): Promise<void>
}

export type OtlpProtocol = 'http/json' | 'http/protobuf'

/** Where one signal goes; null: nowhere. */
export interface SignalConfig {
  url: string
  protocol: OtlpProtocol
  headers: Record<string, string>
  timeoutMs: number
  isCompressed: boolean
}

export interface TelemetryConfig {
  metrics: SignalConfig | null
  traces: SignalConfig | null
  metricIntervalMs: number
  spanDelayMs: number
  sampler: string
  samplerArg: number
  resource: Record<string, string>
}

const url = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional()
const protocol = z.enum(['http/json', 'http/protobuf']).optional()
const exporter = z.enum(['otlp', 'none']).default('otlp')
const compression = z.enum(['none', 'gzip']).optional()
const milliseconds = integer(1, 3_600_000).optional()

/** Every variable of telemetry. */
export const TelemetryEnv = z.object({
  OTEL_SDK_DISABLED: boolean().default(false),
  OTEL_METRICS_EXPORTER: exporter,
  OTEL_TRACES_EXPORTER: exporter,
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_HEADERS: z.string().optional(),
  OTEL_EXPORTER_OTLP_METRICS_HEADERS: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: z.string().optional(),
  OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds,
  OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: milliseconds,
  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: milliseconds,
  OTEL_EXPORTER_OTLP_COMPRESSION: compression,
  OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: compression,
  OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: compression,
  OTEL_METRIC_EXPORT_INTERVAL: integer(1, 3_600_000).default(60_000),
  OTEL_BSP_SCHEDULE_DELAY: integer(0, 3_600_000).default(5_000),
  OTEL_TRACES_SAMPLER: z
    .enum([
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ])
    .default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number({ error: 'must be a number from 0 to 1' })
    .min(0, 'must be a number from 0 to 1')
    .max(1, 'must be a number from 0 to 1')
    .default(1),
  OTEL_RESOURCE_ATTRIBUTES: z.string().optional(),
})

/** The standard OTLP variables; a signal's own variable wins over the common one. Throws a `ConfigError`. */
export function telemetryConfig(env: Env): TelemetryConfig {
  const set = parseEnv(TelemetryEnv, env)
  const signal = (name: 'METRICS' | 'TRACES'): SignalConfig | null => {
    const common = set.OTEL_EXPORTER_OTLP_ENDPOINT
    const url =
      set[`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`] ??
      (common && `${common.replace(/\/$/, '')}/v1/${name.toLowerCase()}`)
    if (!url || set.OTEL_SDK_DISABLED || set[`OTEL_${name}_EXPORTER`] === 'none') return null
    const compression =
      set[`OTEL_EXPORTER_OTLP_${name}_COMPRESSION`] ?? set.OTEL_EXPORTER_OTLP_COMPRESSION
    return {
      url,
      protocol:
        set[`OTEL_EXPORTER_OTLP_${name}_PROTOCOL`] ??
        set.OTEL_EXPORTER_OTLP_PROTOCOL ??
        'http/protobuf',
      headers: {
        ...pairs(set.OTEL_EXPORTER_OTLP_HEADERS),
        ...pairs(set[`OTEL_EXPORTER_OTLP_${name}_HEADERS`]),
      },
      timeoutMs:
        set[`OTEL_EXPORTER_OTLP_${name}_TIMEOUT`] ?? set.OTEL_EXPORTER_OTLP_TIMEOUT ?? 10_000,
      isCompressed: compression === 'gzip',
    }
  }
  return {
    metrics: signal('METRICS'),
    traces: signal('TRACES'),
    metricIntervalMs: set.OTEL_METRIC_EXPORT_INTERVAL,
    spanDelayMs: set.OTEL_BSP_SCHEDULE_DELAY,
    sampler: set.OTEL_TRACES_SAMPLER,
    samplerArg: set.OTEL_TRACES_SAMPLER_ARG,
    resource: pairs(set.OTEL_RESOURCE_ATTRIBUTES),
  }
}

/**
 * Sets the global OpenTelemetry providers; instruments that were got before this resolves stay silent, so a `main.ts`
 * awaits it first. Without an endpoint nothing of the SDK is loaded. `service.name` is `sluice-<process>`.
 */
export async function startTelemetry(options: { process: string; env: Env }): Promise<Telemetry> {
  const config = telemetryConfig(options.env)
  if (!config.metrics && !config.traces) return { shutdown: () => Promise.resolve() }
  const { startOtlp } = await import('./otlp.ts')
  return startOtlp(`sluice-${options.process}`, config)
}

/** `a=b,c=d` with percent-encoded values, as the variables of headers and resources have it. */
function pairs(text = ''): Record<string, string> {
  const result: Record<string, string> = {}
  for (const member of text.split(',')) {
    const at = member.indexOf('=')
    if (at < 1) continue
    result[member.slice(0, at).trim()] = decoded(member.slice(at + 1).trim())
  }
  return result
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
