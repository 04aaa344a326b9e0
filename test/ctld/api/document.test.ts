// docs/api.md against the table of routes.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CODES_MAX, INSTANCES_MAX, SERVICES_MAX } from '#ctld/api/balancer-metrics.ts'
import { WAIT_MS_MAX, WAITERS_MAX } from '#ctld/api/changes.ts'
import { EVENTS_DEFAULT, EVENTS_MAX } from '#ctld/api/cluster-routes.ts'
import { STALL_MS, STREAMS_MAX } from '#ctld/api/event-stream.ts'
import { forecastAnswer, SUPPOSED_MAX } from '#ctld/api/foresight-routes.ts'
import { FORWARDED_MAX } from '#ctld/api/pass-through.io.ts'
import { FORECAST_ACTIONS_MAX, FORECAST_MS_MAX, FORECAST_TURNS_MAX } from '#ctld/forecast.ts'
import { FORESIGHTS_MAX } from '#ctld/foresight.ts'
import { DEPTH_MAX, DOCUMENT_BYTES_MAX } from '#shared/document.ts'
import { durationMs, durationText } from '#shared/duration.ts'
import { DOOR_LIMITS } from '#shared/http-door.io.ts'
import { FAILED_LOGINS_MAX } from '#shared/http-guard.ts'
import {
  PAGE_BYTES_MAX,
  PAGES_BYTES_MAX,
  PAUSE_DEFAULT,
  PAUSE_MAX,
  PAUSE_MIN,
} from '#shared/traffic-control.ts'
import { WIRE_BODY_BYTES_MAX } from '#shared/wire.ts'
import { createTestApi } from '#test/helpers/api.ts'
import { parseExposition } from '#test/helpers/exposition.ts'
import { tableOfRoutes, titleOf } from '#test/helpers/route-table.ts'

const text = readFileSync('docs/api.md', 'utf8')
const rows = text.split('\n').filter((line) => /^\| `[A-Z]+ \//.test(line))

test('docs/api.md has a row for every route, with its tokens, and for no other', () => {
  const expected = tableOfRoutes().map((route) => {
    const access = route.access === 'anyone' ? 'anyone' : route.access.join(', ')
    const statuses = Object.keys(route.answers).join(', ')
    return `| \`${titleOf(route)}\` | ${access} | ${route.summary} | ${statuses} |`
  })
  expect(rows.sort()).toEqual(expected.sort())
})

test('the limits that docs/api.md names are those of the code', () => {
  const [least, most, usual] = [PAUSE_MIN, PAUSE_MAX, PAUSE_DEFAULT].map((text) =>
    durationText(durationMs(text)),
  )
  const sentences = [
    `more than ${FAILED_LOGINS_MAX} wrong tokens`,
    `| \`wait\` | ${WAIT_MS_MAX / 1_000} s |`,
    `| requests that wait | ${WAITERS_MAX} |`,
    `| event streams | ${STREAMS_MAX}; a reader that takes nothing for ${STALL_MS / 1_000} s`,
    `| requests passed on to agents | ${FORWARDED_MAX} at a time |`,
    `| events in one page | ${EVENTS_MAX}, by default ${EVENTS_DEFAULT} |`,
    `| image | ${DOOR_LIMITS.archiveBytesMax / 1024 ** 2} MiB packed |`,
    `| JSON body | ${DOOR_LIMITS.jsonBytesMax / 1024 ** 2} MiB, ${DEPTH_MAX} levels; a report ${WIRE_BODY_BYTES_MAX / 1024 ** 2} MiB |`,
    `| page of a service in maintenance | ${PAGE_BYTES_MAX / 1024} KiB, all together ${PAGES_BYTES_MAX / 1024} KiB |`,
    `| pause of a service | ${least} to ${most}, by default ${usual} |`,
    `| metrics | ${SERVICES_MAX} services, ${INSTANCES_MAX} instances, ${CODES_MAX} statuses each |`,
    `| ${FORESIGHTS_MAX} at a time; of each ${FORECAST_ACTIONS_MAX} actions, ` +
      `${FORECAST_TURNS_MAX} turns, ${FORECAST_MS_MAX / 3_600_000} h ahead |`,
    `| nodes and services in one simulation | ${SUPPOSED_MAX} of each |`,
    `| configuration text | ${DOCUMENT_BYTES_MAX / 1024} KiB |`,
  ]
  for (const sentence of sentences) expect(text).toContain(sentence)
})

test('every kind of action that can be foreseen is explained in docs/api.md', () => {
  const section = text.split('## Looking ahead')[1]?.split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  const named = rows.flatMap((line) => line.split('|')[1]?.match(/\w+/g) ?? [])
  const kinds = forecastAnswer.shape.actions.element.shape.kind.options
  const keys = Object.keys(forecastAnswer.shape)
  expect([...kinds, ...keys].filter((word) => !named.includes(word))).toEqual([])
})

test('every metric is in docs/api.md, with its labels, and no other is', async () => {
  const { ask } = createTestApi()
  const { families } = parseExposition((await ask('GET', '/metrics')).body)
  const table = text.split('\n').filter((line) => line.startsWith('| `tucano_'))
  const named = table.flatMap((line) => [...line.matchAll(/`(tucano_\w+)`/g)].map(([, one]) => one))
  expect(named.sort()).toEqual(families.map(({ name }) => name).sort())
  for (const { name, samples } of families) {
    const labels = table.find((line) => line.includes(`\`${name}\``))?.split('|')[2] ?? ''
    const own = samples.flatMap((sample) => Object.keys(sample.labels))
    for (const label of new Set(own))
      expect([name, labels]).toEqual([name, expect.stringContaining(label)])
  }
})
