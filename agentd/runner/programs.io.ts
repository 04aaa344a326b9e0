// The machine's process table as the agent sees it. Each instance has a private folder with its
// output, its HOME and its TMPDIR; its program gets an environment of named variables only.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hostEnvironment } from '#agentd/images/image-edges.io.ts'
import { type Box, openField } from '#agentd/isolation/box.io.ts'
import { createUsage } from '#agentd/monitor/usage.io.ts'
import type { ProgramEnd, ProgramMark, Programs } from '#agentd/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { Log } from '#shared/ports.ts'
import { ID_PATTERN, LOG_TAIL_LINES_MAX } from '#shared/wire.ts'
import { createCommandChecks } from './check-command.io.ts'
import { watchEnds } from './ends.io.ts'
import { giveSecrets, giveVolumes, takeSecrets } from './given-files.io.ts'
import { agentTagOf, launch, type Places, placesOf, readExit, removeExits } from './launch.io.ts'
import { dropLogs, logPath, rotateIfNeeded, tail } from './log-file.io.ts'
import { marked, marking, strays, sweep } from './marks.io.ts'
import { freePort, isPortFree } from './port.io.ts'
import { probeHttp, probeTcp } from './probe.io.ts'
import { isRunning, readBoot } from './proc.io.ts'

/** A program that prints 100 MB a second is this much of a second over its limit. */
const ROTATE_MS = 250

export type MachinePrograms = Programs & Disposable & { logPath(id: string): string }

/** `host` is where programs shall listen: HOST in their environment. */
export function createPrograms(options: {
  dataFolder: string
  host: string
  log: Log
  /** By default nothing is kept apart. */
  box?: Box
  /** Where the files of secrets lie while an instance has them; by default on the same disk. */
  secretsFolder?: string
}): MachinePrograms {
  const { dataFolder, host, log, secretsFolder = join(dataFolder, 'secrets') } = options
  const box = options.box ?? openField()
  const places = placesOf(dataFolder)
  const agent = agentTagOf(dataFolder)
  const boot = readBoot()
  const commands = createCommandChecks(boot)
  const usage = createUsage(() => performance.now())
  const probeHost = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  const listeners: ((id: string, mark: ProgramMark, end: ProgramEnd) => void)[] = []
  const ended = new Set<string>()
  const ends = watchEnds(places, boot, async (id, mark, end) => {
    ended.add(id)
    const full = await withShortages(box, id, end)
    for (const listener of listeners) listener(id, mark, full)
  })
  const logOf = (id: string) => logPath(join(places.instances, id))
  // Once more after its end: what it printed last must not stay however much it was.
  const rotation = rotateAll(() => {
    const ids = new Set([...ends.ids(), ...ended])
    ended.clear()
    return [...ids].map(logOf)
  }, log)

  return {
    boot: () => boot,
    async start({ id, argv, folder, env, files, volumes, limits, user }) {
      const owner = await box.users.ownerOf(user)
      const given = {
        ...(await giveSecrets(join(secretsFolder, id), files, owner)),
        ...(await giveVolumes(join(dataFolder, 'volumes'), volumes, owner)),
      }
      const marks = marking(agent, id)
      const kept = [join(secretsFolder, id), join(dataFolder, 'volumes', volumes?.service ?? id)]
      const clothes = owner && {
        owner,
        env: marks,
        dress: (start: { tmp: string; kept: string; argv: readonly string[] }) =>
          box.users.dress({ ...start, owner, kept: [start.kept, ...kept] }),
      }
      const full = { ...hostEnvironment(), ...env, ...given, HOST: host, ...marks }
      const entries = await box.makeGroup(id, limits)
      const openFiles = limits?.open_files
      return launch(
        places,
        { id, argv, folder, env: full, boot, entries, openFiles, clothes },
        {
          onStart: (mark) => ends.watch(id, mark, true),
          onExit: (mark, end) => ends.tell(id, mark, end),
        },
      )
    },
    async adopt(id, mark) {
      const runs = isRunning(mark, boot)
      if (runs) ends.watch(id, mark, false)
      else ended.add(id)
      return runs
    },
    async endOf(id, mark) {
      const end = (await readExit(places, id, mark)) ?? { code: undefined, signal: undefined }
      return withShortages(box, id, end)
    },
    onEnd(listener) {
      listeners.push(listener)
    },
    signal(_id, mark, signal) {
      if (isRunning(mark, boot)) signalGroup(mark.pid, signal)
    },
    async sweep(id) {
      await box.emptyGroup(id)
      // With no groups, and for what was root and left its group.
      await sweep(agent, id)
      // Nobody is left to read them; a restart gets them anew.
      await takeSecrets(join(secretsFolder, id))
    },
    async strays() {
      const found = new Set([...(await box.busy()), ...(await strays(agent))])
      // Anybody may write any mark into his own environment, and an id names folders to delete.
      return [...found].filter((id) => ID_PATTERN.test(id)).sort()
    },
    freePort: (range, taken) => freePort(host, range, taken),
    isPortFree: (port) => isPortFree(host, port),
    async probe({ id, mark, port, way, timeoutMs }) {
      if (way.kind === 'command') {
        const entries = box.entriesOf(id)
        const inside = await box.users.find([
          ...(await box.processesOf(id)),
          ...(await marked(agent, id)),
        ])
        return commands.run({ argv: way.argv, mark, timeoutMs, entries, inside })
      }
      const place = { host: probeHost, port, timeoutMs }
      return way.kind === 'http' ? probeHttp(place, way) : probeTcp(place)
    },
    logTail: (id) => tail(logOf(id), LOG_TAIL_LINES_MAX),
    async usage(id, mark) {
      if (!isRunning(mark, boot)) return undefined
      return (await box.usage(id)) ?? usage.usageOfGroup(mark.pid)
    },
    shortages: box.shortages,
    isolation: () => box.isolation,
    async forget(id) {
      await box.removeGroup(id)
      await takeSecrets(join(secretsFolder, id))
      await forget(places, id, logOf(id))
    },
    logPath: logOf,
    [Symbol.dispose]() {
      ends[Symbol.dispose]()
      rotation[Symbol.dispose]()
    },
  }
}

async function withShortages(box: Box, id: string, end: ProgramEnd): Promise<ProgramEnd> {
  const shortages = await box.shortages(id)
  return shortages.length === 0 ? end : { ...end, shortages }
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal)
  } catch (error) {
    // It ended since its mark was read, which is what most signals are for.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function forget(places: Places, id: string, log: string): Promise<void> {
  await removeExits(places, id)
  await dropLogs(log)
  await rm(join(places.instances, id), { recursive: true, force: true })
}

function rotateAll(paths: () => string[], log: Log): Disposable {
  let isBusy = false
  const timer = setInterval(async () => {
    if (isBusy) return
    isBusy = true
    for (const path of paths()) {
      await rotateIfNeeded(path).catch((error: unknown) => {
        log.warn({ path, why: messageOf(error) }, 'an output file could not be rotated')
      })
    }
    isBusy = false
  }, ROTATE_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
