import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { randomToken } from './ids.ts'
import type { SignalConfig, Telemetry, TelemetryConfig } from './telemetry.ts'

// The exporters retry a dead collector for 8 s; nobody waits that long for a process to end.
const shutdownMs = 2_000

/** The SDK itself: a file of its own because loading it costs as much as the rest of a start. */
export async function startOtlp(serviceName: string, config: TelemetryConfig): Promise<Telemetry> {
  const resource = resourceFromAttributes({
    'service.instance.id': randomToken(),
    ...config.resource,
    'service.name': serviceName,
  })
  const providers = await Promise.all([
    config.metrics ? startMetrics(config.metrics, config, resource) : null,
    config.traces ? startTraces(config.traces, config, resource) : null,
  ])
  return {
    async shutdown() {
      const ended = Promise.allSettled(providers.map((provider) => provider?.shutdown()))
      let timer: NodeJS.Timeout | undefined
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, shutdownMs)
      })
      await Promise.race([ended, late])
      clearTimeout(timer)
      for (const api of [metrics, trace, context, propagation]) api.disable()
    },
  }
}

async function startMetrics(signal: SignalConfig, config: TelemetryConfig, resource: Resource) {
  const { OTLPMetricExporter } =
    signal.protocol === 'http/json'
      ? await import('@opentelemetry/exporter-metrics-otlp-http')
      : await import('@opentelemetry/exporter-metrics-otlp-proto')
  const provider = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter(exporterOptions(signal)),
        exportIntervalMillis: config.metricIntervalMs,
        // The SDK refuses a time-out above the interval.
        exportTimeoutMillis: Math.min(signal.timeoutMs, config.metricIntervalMs),
      }),
    ],
  })
  metrics.setGlobalMeterProvider(provider)
  return provider
}

async function startTraces(signal: SignalConfig, config: TelemetryConfig, resource: Resource) {
  const { OTLPTraceExporter } =
    signal.protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto')
  const provider = new TracerProvider({
    resource,
    sampler: samplerOf(config),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(exporterOptions(signal)),
        scheduledDelayMillis: config.spanDelayMs,
      }),
    ],
  })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  return provider
}

function exporterOptions(signal: SignalConfig) {
  return {
    url: signal.url,
    headers: signal.headers,
    timeoutMillis: signal.timeoutMs,
    // The SDK's enum is not exported by the exporters' packages; its values are these.
    compression: (signal.isCompressed ? 'gzip' : 'none') as never,
  }
}

function samplerOf({ sampler, samplerArg }: TelemetryConfig): Sampler {
  const kind = sampler.replace('parentbased_', '')
  const root =
    kind === 'traceidratio'
      ? new TraceIdRatioBasedSampler(samplerArg)
      : kind === 'always_off'
        ? new AlwaysOffSampler()
        : new AlwaysOnSampler()
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root
}
