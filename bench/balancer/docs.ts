// Writes what a whole run found into docs/: the table between its two marks, and the picture.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { short } from '#bench/table.ts'
import { pictureOf } from './picture.ts'
import { type BalancerReport, LABELS, rowsOf, titleOf } from './report.ts'
import type { Aim, CaseResult } from './results.ts'

const DOCS = join(import.meta.dirname, '../../docs')
const PAGE = join(DOCS, 'benchmarks.md')
const PICTURE = 'benchmarks-balancer.svg'
export const BEGIN = '<!-- bench:balancer writes from here -->'
export const END = '<!-- to here -->'

/** Throws when the page has lost its marks. */
export function writeDocs(report: BalancerReport): void {
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), sectionOf(report)))
  writeFileSync(join(DOCS, PICTURE), pictureOf(report.cases))
}

export function withSection(page: string, section: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin === -1 || end < begin) {
    throw new Error(`docs/benchmarks.md has no line "${BEGIN}" with "${END}" after it`)
  }
  return `${page.slice(0, begin + BEGIN.length)}\n\n${section}\n\n${page.slice(end)}`
}

export function sectionOf(report: BalancerReport): string {
  const { machine, settings, versions } = report
  const programs = Object.entries(versions).map(([name, version]) => {
    return `${LABELS[name as keyof typeof LABELS]} ${version}`
  })
  return [
    `${machine.cores} cores (${machine.cpu}), Node ${machine.node}, load average before ` +
      `${machine.loadBefore}; ${settings.rounds} rounds of ${settings.ms / 1_000} s each; ` +
      `${machine.isPinned ? 'pinned to cores' : 'not pinned'}. ${programs.join(', ')}.`,
    aimsTable(report.aims),
    `![What a request costs, by proxy and case](${PICTURE})`,
    ...report.cases.map((each) => caseTable(each, report)),
  ].join('\n\n')
}

function aimsTable(aims: readonly Aim[]): string {
  return [
    '| aim | wanted | found | met |',
    '|---|--:|--:|---|',
    ...aims.map(({ name, aim, value, met }) => {
      return `| ${name} | ${aim} | ${short(value)} | ${met ? 'yes' : '**no**'} |`
    }),
  ].join('\n')
}

function caseTable(result: CaseResult, { ratios }: BalancerReport): string {
  const rows = rowsOf(result, ratios)
  const hasLatencies = rows.some((row) => row['p50 ms'] !== '')
  const latencies = hasLatencies ? (['p50 ms', 'p99 ms', 'p99.9 ms'] as const) : []
  const columns = ['CPU µs', 'spread', 'ours ÷', 'requests/s', ...latencies, 'errors'] as const
  return [
    `**${titleOf(result)}**`,
    '',
    `| proxy | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => '--:|').join('')}`,
    ...rows.map(
      (row) => `| ${row.proxy} | ${columns.map((key) => grouped(row[key])).join(' | ')} |`,
    ),
  ].join('\n')
}

function grouped(value: string | number): string {
  return typeof value === 'number' ? value.toLocaleString('en') : value
}
