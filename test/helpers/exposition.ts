// Reads the text format of Prometheus strictly, by its own rules and none of ours: what breaks one
// is named with its line. https://prometheus.io/docs/instrumenting/exposition_formats/

export type ReadSample = { name: string; labels: Record<string, string>; value: number }
export type ReadFamily = { name: string; type: string; help: string; samples: ReadSample[] }

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y
const NUMBER = /^[+-]?(\d+(\.\d+)?(e[+-]?\d+)?|Inf)$/

const suffixes: Record<string, readonly string[]> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['_sum', '_count'],
}

/** Throws with the line that breaks a rule. */
export function parseExposition(text: string): { families: ReadFamily[] } {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families: ReadFamily[] = []
  const seen = new Set<string>()
  let help: { name: string; text: string } | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (what: string): never => {
      throw new Error(`${what}: ${line}`)
    }
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (/\\(?![\\n])/.test(rest)) fail('a wrong escape')
      help = { name, text: rest }
    } else if (keyword === 'TYPE') {
      if (help?.name !== name) fail('a type without its help')
      if (suffixes[rest] === undefined) fail('no such type')
      if (!NAME.test(name)) fail('a wrong name')
      if (families.some((family) => family.name === name)) fail('a family told twice')
      families.push({ name, type: rest, help: help?.text ?? '', samples: [] })
    } else {
      const family = families.at(-1) ?? fail('a sample without a family')
      const sample = sampleOf(line, fail)
      const suffix = sample.name.startsWith(family.name) && sample.name.slice(family.name.length)
      if (suffix === false || !suffixes[family.type]?.includes(suffix)) fail('of another family')
      const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
      if (seen.has(key)) fail('a sample told twice')
      seen.add(key)
      family.samples.push(sample)
    }
  }
  for (const family of families) checkFamily(family)
  return { families }
}

function sampleOf(line: string, fail: (what: string) => never): ReadSample {
  const [, name = '', inner = '', number = ''] = SAMPLE.exec(line) ?? fail('no sample')
  if (!NUMBER.test(number)) fail('no number')
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < inner.length) {
    const [, key = '', value = ''] = LABEL.exec(inner) ?? fail('a wrong label')
    if (key in labels) fail('a label told twice')
    labels[key] = value.replace(/\\(.)/g, (_, sign: string) => (sign === 'n' ? '\n' : sign))
  }
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) }
}

function checkFamily({ name, type, samples }: ReadFamily): void {
  if (samples.length === 0) throw new Error(`${name} has no samples`)
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`${name}: no _total`)
  if (type !== 'gauge' && samples.some(({ value }) => !(value >= 0))) {
    throw new Error(`${name} is below 0`)
  }
  if (type === 'histogram') checkHistogram(name, samples)
}

/** Cumulative, in the order of its bounds, and the last one, +Inf, is the count. */
function checkHistogram(name: string, samples: readonly ReadSample[]): void {
  const keyOf = ({ labels: { le: _, ...labels } }: ReadSample) => JSON.stringify(labels)
  for (const [key, group] of Map.groupBy(samples, keyOf)) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels }) => Number(labels.le?.replace('Inf', 'Infinity')))
    const counts = buckets.map(({ value }) => value)
    const isSorted = (list: readonly number[], isStrict: boolean) =>
      list.every(
        (one, at) => at === 0 || one > Number(list[at - 1]) || (!isStrict && one === list[at - 1]),
      )
    if (!isSorted(bounds, true) || bounds.at(-1) !== Infinity) throw new Error(`${name} ${key}: le`)
    if (!isSorted(counts, false)) throw new Error(`${name} ${key} is not cumulative`)
    const count = group.filter((sample) => sample.name === `${name}_count`)
    const sum = group.filter((sample) => sample.name === `${name}_sum`)
    if (count.length !== 1 || sum.length !== 1) throw new Error(`${name} ${key}: sum and count`)
    if (counts.at(-1) !== count[0]?.value) throw new Error(`${name} ${key}: +Inf is not the count`)
  }
}
