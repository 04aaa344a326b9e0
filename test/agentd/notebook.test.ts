// What an agent knows again after a crash, on the machine's disk and on the fake one.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openNotebook } from '#agentd/notebook.io.ts'
import type { InstancePage, Notebook } from '#agentd/ports.ts'
import type { Assignment } from '#shared/wire.ts'
import { createFakeNotebook } from '#test/fakes/notebook.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'
import { spec } from './agent-world.ts'

type Desk = {
  open(): Promise<Notebook>
  damage(name: string): void
  files(): string[]
}

const SEEDS = 300

function realDesk(): Desk {
  const folder = temporaryFolder()
  return {
    open: () => openNotebook(folder),
    damage(name) {
      writeFileSync(`${folder}/${name}`, readFileSync(`${folder}/${name}`).subarray(9))
    },
    files: () => readdirSync(folder, { recursive: true }).map(String),
  }
}

function fakeDesk(): Desk {
  const { disk, open } = createFakeNotebook({ clock: { wall: () => 1_700 } })
  return {
    open: async () => open(),
    damage(name) {
      disk.poke(`/data/${name}`, disk.peek(`/data/${name}`)?.subarray(9) ?? new Uint8Array())
    },
    files: () => disk.paths().map((path) => path.slice('/data/'.length)),
  }
}

describe.each([
  ['the notebook on disk', realDesk],
  ['the fake notebook', fakeDesk],
])('%s', (_, createDesk) => {
  test('is empty at first, then gives back the last order and each page', async () => {
    const desk = createDesk()
    const notebook = await desk.open()
    expect(await notebook.load()).toEqual({ assignment: undefined, pages: [], notices: [] })
    await notebook.saveAssignment(anAssignment(1))
    await Promise.all([notebook.saveAssignment(anAssignment(2)), notebook.savePage(aPage('b'))])
    // Handed in at once: the last one stays.
    await Promise.all([1, 2, 3].map((restarts) => notebook.savePage(aPage('a', restarts))))
    await notebook.savePage(aPage('c'))
    await notebook.removePage('c')

    expect(await (await desk.open()).load()).toEqual({
      assignment: anAssignment(2),
      pages: [aPage('a', 3), aPage('b')],
      notices: [],
    })
  })

  test('keeps an unreadable page aside, says so, and gives the others', async () => {
    const desk = createDesk()
    const notebook = await desk.open()
    await notebook.savePage(aPage('a'))
    await notebook.savePage(aPage('b'))
    desk.damage('pages/a.json')

    const loaded = await (await desk.open()).load()
    expect(loaded.pages).toEqual([aPage('b')])
    expect(loaded.notices.join()).toMatch(/pages\/a\.json could not be read .* is kept as/)
    expect(desk.files().filter((name) => name.includes('a.json.unreadable-'))).toHaveLength(1)
    expect((await (await desk.open()).load()).notices).toEqual([])
  })

  test('gives the order before a damaged one, and none when both are damaged', async () => {
    const desk = createDesk()
    const notebook = await desk.open()
    await notebook.saveAssignment(anAssignment(1))
    await notebook.saveAssignment(anAssignment(2))
    desk.damage('assignment.json')
    const loaded = await (await desk.open()).load()
    expect(loaded.assignment).toEqual(anAssignment(1))
    expect(loaded.notices).toHaveLength(2)

    desk.damage('assignment.json.bak')
    const lost = await (await desk.open()).load()
    expect(lost.assignment).toBeUndefined()
    expect(lost.notices).toHaveLength(1)
  })
})

test('after a power cut at any step every acknowledged page is whole', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const { random } = randomOf(seed)
    const died = Promise.withResolvers<void>()
    let stepsLeft = 1 + Math.floor(random() * 60)
    const desk = createFakeNotebook({
      clock: { wall: () => 1_700 },
      pause: async () => {
        if (--stepsLeft !== 0) return
        desk.disk.crash(random)
        died.resolve()
      },
    })
    const acked = new Map<string, number>()
    const notebook = desk.open()
    const write = async (id: string) => {
      for (let restarts = 1; ; restarts++) {
        await notebook.savePage(aPage(id, restarts))
        acked.set(id, restarts)
      }
    }
    await Promise.race([write('a'), write('b'), died.promise])

    const { pages, notices } = await desk.open().load()
    expect(notices, `seed ${seed}`).toEqual([])
    for (const id of ['a', 'b']) {
      const restarts = pages.find((page) => page.id === id)?.restarts ?? 0
      const last = acked.get(id) ?? 0
      expect([last, last + 1], `seed ${seed}, page ${id}`).toContain(restarts)
    }
  }
})

function anAssignment(generation: number): Assignment {
  return { node: 'w1', epoch: 1, generation, instances: [spec('a')] }
}

function aPage(id: string, restarts = 0): InstancePage {
  return {
    id,
    spec: spec(id),
    port: 20_000,
    program: { pid: 7, startTime: '123', boot: 'boot-1' },
    restarts,
    failures: 0,
    wasHealthy: true,
    ended: undefined,
    failure: undefined,
  }
}
