// The figures as a picture: a panel for each case, a bar for each proxy. SVG without anything from
// outside, so that it is shown wherever the page is.

import { short } from '#bench/table.ts'
import { cases } from './cases.ts'
import { type ProxyName, proxyNames } from './proxies.ts'
import { LABELS } from './report.ts'
import type { CaseResult } from './results.ts'

const COLUMNS = 2
const PANEL_WIDTH = 440
const LABEL_WIDTH = 100
const VALUE_WIDTH = 90
const BAR_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
const BAR_HEIGHT = 14
const BAR_STEP = 20
const TITLE_HEIGHT = 34
const GAP = 24
const OURS = '#0b6e4f'
const PEER = '#9aa5b1'

type Bar = { proxy: ProxyName; value: number; min: number; max: number }

export function pictureOf(results: readonly CaseResult[]): string {
  const panels = results.map(panelOf)
  const panelHeight = TITLE_HEIGHT + proxyNames.length * BAR_STEP + GAP
  const width = COLUMNS * PANEL_WIDTH + (COLUMNS + 1) * GAP
  const height = GAP + Math.ceil(panels.length / COLUMNS) * panelHeight
  const placed = panels.map((panel, index) => {
    const x = GAP + (index % COLUMNS) * (PANEL_WIDTH + GAP)
    const y = GAP + Math.floor(index / COLUMNS) * panelHeight
    return `<g transform="translate(${x} ${y})">\n${panel}\n</g>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
      'font-family="system-ui, sans-serif" font-size="12">',
    '<title>What a request costs, by proxy and case</title>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...placed,
    '</svg>\n',
  ].join('\n')
}

function panelOf(result: CaseResult): string {
  const about = cases.find(({ name }) => name === result.name)
  const isRate = about?.isRate === true
  const bars = barsOf(result, isRate)
  const most = Math.max(...bars.map(({ max }) => max))
  const unit = isRate ? 'ms, p99 from when it was due' : 'µs of processor time'
  return [
    `<text y="12" font-weight="600" fill="#1f2933">${about?.title ?? result.name}</text>`,
    `<text y="27" font-size="10" fill="#52606d">${unit}; less is better</text>`,
    ...bars.map((bar, index) => barText(bar, TITLE_HEIGHT + index * BAR_STEP, most)),
  ].join('\n')
}

function barsOf({ proxies }: CaseResult, isRate: boolean): Bar[] {
  return proxyNames.flatMap((proxy) => {
    const figures = proxies[proxy]
    if (figures === undefined) return []
    const { cpuUs, cpuUsMin, cpuUsMax, p99Ms = 0 } = figures
    return isRate
      ? [{ proxy, value: p99Ms, min: p99Ms, max: p99Ms }]
      : [{ proxy, value: cpuUs, min: cpuUsMin, max: cpuUsMax }]
  })
}

function barText({ proxy, value, min, max }: Bar, y: number, most: number): string {
  const at = (of: number) => Math.round((of / most) * BAR_WIDTH * 10) / 10
  const middle = y + BAR_HEIGHT / 2
  const x = (of: number) => LABEL_WIDTH + at(of)
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${y + 11}" text-anchor="end">${LABELS[proxy]}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${at(value)}" height="${BAR_HEIGHT}" ` +
      `fill="${proxy === 'ours' ? OURS : PEER}"/>`,
    `<path d="M${x(min)} ${middle}H${x(max)}" stroke="#1f2933"/>`,
    `<text x="${x(max) + 6}" y="${y + 11}">${short(value)}</text>`,
  ].join('\n')
}
