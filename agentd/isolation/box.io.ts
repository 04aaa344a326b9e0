// What keeps the programs of this agent from each other and from the agent: a control group for
// each instance and each build, and a user of less power than the agent's own.

import type { Shortage } from '#agentd/ports.ts'
import { agentTagOf } from '#agentd/runner/launch.io.ts'
import type { Log } from '#shared/ports.ts'
import type { InstanceLimits, Isolation } from '#shared/wire.ts'
import { type Groups, openGroups } from './groups.io.ts'
import { BUILD_PIDS, withDefaults } from './isolation.ts'
import { noUsers, openUsers, type Users } from './users.io.ts'

const INSTANCE = 'instance-'
const BUILD = 'build-'

export type Box = Disposable & {
  isolation: Isolation
  users: Users
  /** For an instance; gives the files by which its program enters. */
  makeGroup(id: string, limits: InstanceLimits | undefined): Promise<string[]>
  /** The same files, for what is run in its group later; none: it has no group. */
  entriesOf(id: string): string[]
  /** Pids of what runs in it. */
  processesOf(id: string): Promise<number[]>
  emptyGroup(id: string): Promise<void>
  removeGroup(id: string): Promise<void>
  /** Ids of instances in whose group something runs. */
  busy(): Promise<string[]>
  shortages(id: string): Promise<Shortage[]>
  usage: Groups['usage']
  /** Gives a build the files by which its commands enter; kills whatever it leaves. */
  build<T>(mark: string, run: (group: BuildGroup) => Promise<T>): Promise<T>
}

/** `empty` kills all that is in it. */
export type BuildGroup = { entries: readonly string[]; empty(): Promise<void> }

/** Where nothing is kept apart. */
export function openField(): Box {
  const users = noUsers('not asked for')
  return {
    isolation: { mode: 'none', why: 'not asked for', user: users.name, user_why: users.why },
    users,
    makeGroup: async () => [],
    entriesOf: () => [],
    processesOf: async () => [],
    emptyGroup: async () => {},
    removeGroup: async () => {},
    busy: async () => [],
    shortages: async () => [],
    usage: async () => undefined,
    build: (_mark, run) => run({ entries: [], empty: async () => {} }),
    [Symbol.dispose]() {},
  }
}

/** Kills the builds that a dead agent left; its instances wait to be adopted. */
export async function openBox(options: {
  dataFolder: string
  /** Where files of secrets lie, each instance's in a folder of its own. */
  secretsFolder: string
  user: string
  log: Log
}): Promise<Box> {
  const { dataFolder, secretsFolder, log } = options
  const groups = await openGroups({
    dataFolder,
    tag: agentTagOf(dataFolder),
    now: () => performance.now(),
  })
  for (const name of await groups.busy()) if (name.startsWith(BUILD)) await groups.remove(name)
  const users = await openUsers({ dataFolder, secretsFolder, user: options.user })
  const isolation: Isolation = {
    mode: groups.mode,
    why: groups.why.slice(0, 500),
    user: users.name.slice(0, 64),
    user_why: users.why.slice(0, 500),
  }
  log.info({ ...isolation }, 'programs are kept apart')

  return {
    isolation,
    users,
    makeGroup: (id, limits) => groups.make(INSTANCE + id, withDefaults(limits)),
    entriesOf: (id) => groups.entriesOf(INSTANCE + id),
    processesOf: (id) => groups.processes(INSTANCE + id),
    emptyGroup: (id) => groups.empty(INSTANCE + id),
    removeGroup: (id) => groups.remove(INSTANCE + id),
    async busy() {
      const names = await groups.busy()
      return names.flatMap((name) => (name.startsWith(INSTANCE) ? name.slice(INSTANCE.length) : []))
    },
    shortages: (id) => groups.shortages(INSTANCE + id),
    usage: (id) => groups.usage(INSTANCE + id),
    async build(mark, run) {
      const name = BUILD + mark
      try {
        const entries = await groups.make(name, { pids: BUILD_PIDS })
        return await run({ entries, empty: () => groups.empty(name) })
      } finally {
        await groups.remove(name)
      }
    },
    [Symbol.dispose]: () => groups[Symbol.dispose](),
  }
}
