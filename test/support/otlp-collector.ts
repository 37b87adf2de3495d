import { opened } from './tracker.ts'
import { until } from './until.ts'

export interface CollectedSpan {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  kind: number
  attributes: Record<string, unknown>
  links: { traceId: string; spanId: string }[]
}

export interface CollectedPoint {
  attributes: Record<string, unknown>
  /** Of counters and gauges. */
  value?: number
  /** Of histograms. */
  count?: number
  sum?: number
}

interface Attribute {
  key: string
  value: { stringValue?: string; intValue?: number | string; doubleValue?: number }
}

interface JsonPoint {
  attributes?: Attribute[]
  asInt?: number | string
  asDouble?: number
  count?: number | string
  sum?: number
}

interface JsonMetric {
  name: string
  unit?: string
  sum?: { dataPoints: JsonPoint[]; isMonotonic: boolean }
  gauge?: { dataPoints: JsonPoint[] }
  histogram?: { dataPoints: JsonPoint[] }
}

interface JsonBody {
  resourceMetrics?: {
    resource: { attributes: Attribute[] }
    scopeMetrics: { metrics: JsonMetric[] }[]
  }[]
  resourceSpans?: {
    resource: { attributes: Attribute[] }
    scopeSpans: { spans: (Omit<CollectedSpan, 'attributes'> & { attributes?: Attribute[] })[] }[]
  }[]
}

export interface CollectedMetric {
  kind: 'counter' | 'gauge' | 'histogram'
  unit: string
  points: CollectedPoint[]
}

/** Takes whatever is sent by OTLP over HTTP, and reads it where it is JSON. */
export class OtlpCollector implements AsyncDisposable {
  readonly requests: { path: string; contentType: string; bytes: number; header: string | null }[] =
    []
  readonly spans: CollectedSpan[] = []
  readonly services = new Set<unknown>()
  /** By reader (each thread has one) and name: as it was told last. */
  readonly #metrics = new Map<string, { name: string; metric: CollectedMetric }>()
  readonly #server: Bun.Server<undefined>
  readonly #closed = opened('OTLP collector')

  constructor() {
    this.#server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const bytes = await request.bytes()
        const contentType = request.headers.get('content-type') ?? ''
        const { pathname: path } = new URL(request.url)
        const header = request.headers.get('x-key')
        this.requests.push({ path, contentType, bytes: bytes.length, header })
        if (contentType === 'application/json')
          this.#take(JSON.parse(Buffer.from(bytes).toString()))
        return Response.json({})
      },
    })
  }

  get url(): string {
    return this.#server.url.href.replace(/\/$/, '')
  }

  /** What all readers told last of a metric; null: none has. */
  metric(name: string): CollectedMetric | null {
    const found = [...this.#metrics.values()].filter((entry) => entry.name === name)
    const [first] = found
    if (first === undefined) return null
    return { ...first.metric, points: found.flatMap(({ metric }) => metric.points) }
  }

  names(): string[] {
    return [...new Set([...this.#metrics.values()].map(({ name }) => name))].sort()
  }

  /** All labels of all points. */
  labels(): { name: string; attributes: Record<string, unknown> }[] {
    return [...this.#metrics.values()].flatMap(({ name, metric }) =>
      metric.points.map(({ attributes }) => ({ name, attributes })),
    )
  }

  async span(name: string, isWanted: (span: CollectedSpan) => boolean = () => true) {
    const find = () => this.spans.find((span) => span.name === name && isWanted(span))
    await until(() => find() !== undefined, { what: `a span ${name}`, timeoutMs: 60_000 })
    const found = find()
    if (found === undefined) throw new Error('it was there')
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true)
    this.#closed()
  }

  #take({ resourceMetrics = [], resourceSpans = [] }: JsonBody): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      this.services.add(attributesOf(resource.attributes)['service.name'])
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          const { attributes, links } = span
          this.spans.push({ ...span, attributes: attributesOf(attributes), links: links ?? [] })
        }
      }
    }
    for (const { resource, scopeMetrics } of resourceMetrics) {
      const told = attributesOf(resource.attributes)
      this.services.add(told['service.name'])
      for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
        const { name } = metric
        this.#metrics.set(`${told['service.instance.id']} ${name}`, {
          name,
          metric: metricOf(metric),
        })
      }
    }
  }
}

function metricOf({ unit = '', sum, gauge, histogram }: JsonMetric): CollectedMetric {
  const kind = histogram ? 'histogram' : sum?.isMonotonic ? 'counter' : 'gauge'
  const points = (sum ?? gauge ?? histogram)?.dataPoints ?? []
  return {
    kind,
    unit,
    points: points.map(({ attributes, asInt, asDouble, count, sum: total }) => {
      const value = asInt ?? asDouble
      return {
        attributes: attributesOf(attributes),
        ...(value !== undefined && { value: Number(value) }),
        ...(count !== undefined && { count: Number(count) }),
        ...(total !== undefined && { sum: total }),
      }
    }),
  }
}

function attributesOf(attributes: Attribute[] = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  )
}
