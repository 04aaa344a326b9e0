// npm run conformance -- FOLDER [--json]: every case of the corpora goes through a data plane that
// listens, to an origin that trusts nobody. Exit code 1 when one of them went wrong.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { tableOf } from '#bench/table.ts'
import { CORPORA, type Corpus, readCorpora } from './corpora.ts'
import { served, stricter } from './exceptions.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { type Verdict, verdictOn } from './verdict.ts'

const LANES = 16
const WIDTH = 80

type Report = Record<string, { id: string; verdict: Verdict }[]>

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
})
const [folder] = positionals
if (folder === undefined || !CORPORA.every((name) => existsSync(join(folder, name)))) {
  console.error(
    `conformance: ${folder ?? 'no folder'}: give the folder that has ${CORPORA.join(', ')}\n` +
      '  npm run conformance -- ../shared/corpora',
  )
  process.exit(2)
}
process.exitCode = await run(readCorpora(folder), values.json)

async function run(corpora: readonly Corpus[], asJson: boolean): Promise<number> {
  await using lanes = await createLanes(LANES)
  const report: Report = {}
  for (const corpus of corpora) report[corpus.name] = await verdictsOf(lanes, corpus)
  console.log(asJson ? JSON.stringify(report) : inWords(report))
  const unneeded = needless(report)
  if (unneeded.length > 0) console.error(`no exceptions any more: ${unneeded.join(', ')}`)
  const isWrong = Object.values(report).some((verdicts) => count(verdicts, 'wrong') > 0)
  return isWrong || unneeded.length > 0 ? 1 : 0
}

function verdictsOf(lanes: Lanes, { cases }: Corpus) {
  return lanes.run(cases, (one, seen) => ({ id: one.id, verdict: verdictOn(one, seen) }))
}

function inWords(report: Report): string {
  const rows = Object.entries(report).map(([corpus, verdicts]) => ({
    corpus,
    cases: verdicts.length,
    refused: count(verdicts, 'refused'),
    passed: count(verdicts, 'passed'),
    wrong: count(verdicts, 'wrong'),
  }))
  const reasons = new Map<string, string[]>()
  for (const { id, verdict } of Object.values(report).flat()) {
    if (verdict.why === '') continue
    const reason = `${verdict.outcome}: ${verdict.why}`
    reasons.set(reason, [...(reasons.get(reason) ?? []), id])
  }
  const told = [...reasons].map(([reason, ids]) => [reason, ...foldedList(ids)].join('\n'))
  return [tableOf(rows), '', ...told].join('\n').trimEnd()
}

function foldedList(ids: readonly string[]): string[] {
  const lines: string[] = []
  let line = ' '
  for (const id of ids) {
    if (line.length + id.length + 1 > WIDTH) {
      lines.push(line)
      line = ' '
    }
    line += ` ${id}`
  }
  return [...lines, line]
}

/** Named as an exception, and none: the list only gets shorter. */
function needless(report: Report): string[] {
  const excused = Object.values(report).flatMap((verdicts) =>
    verdicts.filter(({ verdict }) => verdict.why !== '').map(({ id }) => id),
  )
  return [...Object.keys(stricter), ...Object.keys(served)].filter((id) => !excused.includes(id))
}

function count(verdicts: Report[string], outcome: Verdict['outcome']): number {
  return verdicts.filter(({ verdict }) => verdict.outcome === outcome).length
}
