// What it costs to make one change of one instance durable, beside 10,000 others: as one JSON
// document kept by lowdb, or as a row of SQLite. Run: npx node bench/store.ts [--json]

import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Low } from 'lowdb'
import { openRecords } from '#ctld/discovery/records.io.ts'
import { createStateFile } from '#ctld/discovery/state-file.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDisk } from '#shared/disk.io.ts'
import { type DurableFile, writeDurable } from '#shared/durable-file.ts'
import type { Instance, Service } from '#shared/model.ts'
import { checkServiceConfig } from '#shared/service-config.ts'
import { aDocument, anEvent, anInstance, changes } from '#test/helpers/stored.ts'

const INSTANCES = 10_000
const SERVICES = 50
const WARM_UP = 20

type Result = { way: string; commits: number; p50Ms: number; p99Ms: number; kibPerCommit: number }

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, folder: { type: 'string' } },
})
const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'tucano-bench-'))
try {
  const results = [await wholeDocument(), await records(), await documentAlone()]
  if (values.json) console.log(JSON.stringify({ machine: machine(), results }, null, 2))
  else console.table(results)
} finally {
  rmSync(folder, { recursive: true })
}

/** All instances in lowdb's document, written whole at each change. */
async function wholeDocument(): Promise<Result> {
  const file: DurableFile = {
    folder,
    name: 'whole.json',
    kind: 'whole',
    format: 1,
    backup: true,
    whenLost: 'refuse',
  }
  const whole = { document: document(), instances: manyInstances() }
  const low = new Low(
    {
      read: async () => null,
      write: (data: typeof whole) => writeDurable(machineDisk, file, data),
    },
    whole,
  )
  return measure('lowdb, all instances in the document', 100, sizeOf(whole), (n) => {
    whole.instances[n] = changedInstance(n)
    return low.write()
  })
}

/** One row and one event a change, as the controller commits them. */
async function records(): Promise<Result> {
  const opened = openRecords({ folder, clock: machineClock })
  const none = { put: [], remove: [] }
  const all = { put: manyInstances(), remove: [] }
  await opened.records.commit({ instances: all, deployments: none, events: [] })
  const bytes = sizeOf(changedInstance(1)) + sizeOf(anEvent(1))
  const result = await measure('node:sqlite, one row and one event', 2_000, bytes, (n) =>
    opened.records.commit(
      changes({ instances: { put: [changedInstance(n)], remove: [] }, events: [anEvent(n + 1)] }),
    ),
  )
  await opened.records.close()
  return result
}

/** What lowdb is left with: the small document. */
async function documentAlone(): Promise<Result> {
  const stateFile = createStateFile({ disk: machineDisk, clock: machineClock, folder })
  const small = document()
  return measure(`lowdb, the document of ${SERVICES} services`, 1_000, sizeOf(small), (n) =>
    stateFile.write({ ...small, epoch: n + 1 }),
  )
}

async function measure(
  way: string,
  commits: number,
  bytes: number,
  commit: (n: number) => Promise<void>,
): Promise<Result> {
  const tookMs: number[] = []
  for (let n = 0; n < WARM_UP + commits; n++) {
    const startedAt = performance.now()
    await commit(n)
    if (n >= WARM_UP) tookMs.push(performance.now() - startedAt)
  }
  tookMs.sort((a, b) => a - b)
  const at = (share: number) => round(tookMs[Math.floor(share * (commits - 1))] ?? Number.NaN)
  return { way, commits, p50Ms: at(0.5), p99Ms: at(0.99), kibPerCommit: round(bytes / 1_024) }
}

function machine() {
  return {
    node: process.version,
    sqlite: process.versions.sqlite,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    filesystem: `0x${statfsSync(folder).type.toString(16)}`,
  }
}

function manyInstances(): Instance[] {
  return Array.from({ length: INSTANCES }, (_, n) => anInstance(idOf(n), { service: `s${n % 50}` }))
}

function changedInstance(n: number): Instance {
  return anInstance(idOf(n), { restarts: n + 1, changedAt: n, port: 20_000 + n, pid: n + 1 })
}

function idOf(n: number): string {
  return `0199d3a0-0000-7000-8000-${String(n).padStart(12, '0')}`
}

function document() {
  return { ...aDocument(1), services: Array.from({ length: SERVICES }, (_, n) => aService(n)) }
}

function aService(n: number): Service {
  const config = checkServiceConfig({
    name: `service-${n}`,
    concurrency: 3,
    image: {
      digest: `sha256:${'0'.repeat(64)}`,
      build: [['npm', 'ci']],
      run: ['node', 'server.ts'],
    },
    port: 8_080,
    hosts: [`service-${n}.example.org`],
    env: { LOG_LEVEL: 'info' },
    health: { path: '/health' },
  })
  return {
    name: config.name,
    config,
    revision: 1,
    programRevision: 1,
    revisions: [{ revision: 1, program: 1, config, at: 1 }],
    desired: 'running',
    traffic: { state: 'open' },
    deployment: idOf(n),
    createdAt: 1,
    changedAt: 1,
  }
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
