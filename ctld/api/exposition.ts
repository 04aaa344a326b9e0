// Writes measurements in the text format that Prometheus reads (version 0.0.4): families with a
// help line, a type and their samples. Pure; it knows the format and nothing of what is measured.

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** `service="api",code="200"`: made once by `labelsOf`, used by many samples. */
export type Labels = string
export type Sample = { labels?: Labels; value: number; suffix?: '_bucket' | '_sum' | '_count' }
export type Family = {
  name: string
  type: 'counter' | 'gauge' | 'histogram' | 'summary'
  help: string
  samples: readonly Sample[]
}

export function labelsOf(labels: Readonly<Record<string, string>>): Labels {
  return Object.entries(labels)
    .map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    .join(',')
}

/** A family without samples is left out: there is nothing of it to tell. */
export function expositionOf(families: readonly Family[]): string {
  const lines = families.flatMap(({ name, type, help, samples }) => {
    if (samples.length === 0) return []
    const head = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`]
    return [...head, ...samples.map((sample) => lineOf(name, sample))]
  })
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

/**
 * Samples of one histogram. `counts` are not cumulative and have one more than `bounds`, for what
 * lies beyond the last; `bounds` and `sum` are in the unit that the family's name ends with.
 */
export function histogramSamples(
  labels: Labels,
  { bounds, counts, sum }: { bounds: readonly number[]; counts: readonly number[]; sum: number },
): Sample[] {
  let below = 0
  const prefix = labels === '' ? '' : `${labels},`
  const buckets = [...bounds, Infinity].map((bound, at): Sample => {
    below += counts[at] ?? 0
    return { suffix: '_bucket', labels: `${prefix}le="${numberText(bound)}"`, value: below }
  })
  return [
    ...buckets,
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: below },
  ]
}

/** Sum and count without quantiles: enough for an average, and cheap. */
export function summarySamples(labels: Labels, sum: number, count: number): Sample[] {
  return [
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: count },
  ]
}

function lineOf(name: string, { labels = '', value, suffix }: Sample): string {
  const braces = labels === '' ? '' : `{${labels}}`
  return `${name}${suffix ?? ''}${braces} ${numberText(value)}`
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}

function escapeLabel(text: string): string {
  if (/^[\w.:-]*$/.test(text)) return text
  return text.replace(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`))
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (sign) => (sign === '\n' ? '\\n' : '\\\\'))
}
