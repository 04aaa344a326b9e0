// Makes images ready to run: fetch, unpack, build, mark as finished. One digest with one list of
// build commands is one piece of work, however many instances wait for it; what failed is
// forgotten, so that the next call tries again. Only what was finished is ever run.

import { createHash } from 'node:crypto'
import { type Images, PrepareError } from '#agentd/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { LOG_TAIL_LINES_MAX } from '#shared/wire.ts'
import type { BuildEnd, ImagesPorts } from './image-ports.ts'
import { expiredBuilds } from './retention.ts'

/** From here on nothing is fetched or built: a full disk would harm what already runs. */
export const DISK_USED_MAX = 0.9
export const BUILD_LOG_LINES_MAX = 10_000

type Image = AssignedInstance['image']
type Phase = 'fetching' | 'building'
type Work = { done: Promise<{ folder: string }>; phase: Phase; listeners: ((p: Phase) => void)[] }

export type ImagesNoun = Images &
  AsyncDisposable & {
    /** Last lines of the newest build of this digest, also of a failed one; undefined: none. */
    buildLog(digest: string, lines?: number): Promise<string[] | undefined>
  }

export function createImages(ports: ImagesPorts): ImagesNoun {
  const { log, shelf } = ports
  const works = new Map<string, Work>()
  const removals = new Map<string, Promise<void>>()
  /** Asked for since `retain` was last told what is in use. */
  const asked = new Set<string>()
  const ended = new AbortController()

  function begin(key: string, image: Image): Work {
    const work: Work = {
      phase: 'fetching',
      listeners: [],
      done: prepareImage(ports, key, image, ended.signal, (phase) => {
        work.phase = phase
        for (const listener of work.listeners) listener(phase)
      }).finally(() => works.delete(key)),
    }
    work.done.catch(() => undefined) // Each caller gets the rejection for itself.
    works.set(key, work)
    return work
  }

  /** Whoever asks for the build meanwhile waits: it must not be run while it is deleted. */
  function remove(key: string): Promise<void> {
    const removal = shelf.remove(key).finally(() => removals.delete(key))
    const settled = removal.catch(() => undefined) // What is left of it counts as not built.
    removals.set(key, settled)
    return removal
  }

  return {
    async prepare(image, onPhase) {
      const key = buildKey(image)
      asked.add(image.digest)
      await removals.get(key)
      const running = works.get(key)
      if (running === undefined && !ended.signal.aborted) {
        const folder = await shelf.find(key).catch((error: unknown) => {
          throw new PrepareError({ error: `the agent's disk failed: ${messageOf(error)}` })
        })
        if (folder !== undefined) return { folder }
      }
      // Another caller may have begun while this one looked at the disk.
      const work = works.get(key) ?? begin(key, image)
      work.listeners.push(onPhase)
      onPhase(work.phase)
      return work.done
    },

    async retain(digests) {
      asked.clear()
      try {
        const builds = await shelf.finished()
        for (const key of expiredBuilds(builds, digests)) {
          const isWanted = builds.some((build) => build.key === key && asked.has(build.digest))
          if (isWanted || works.has(key)) continue
          await remove(key)
          log.info({ build: key }, 'build deleted: no instance uses it')
        }
        await shelf.sweep((key) => works.has(key))
      } catch (error) {
        // Nothing depends on it, and it is done again with the next change.
        log.warn({ why: messageOf(error) }, 'old builds could not be deleted')
      }
    },

    buildLog: (digest, lines = BUILD_LOG_LINES_MAX) => shelf.buildLog(digest, lines),

    async [Symbol.asyncDispose]() {
      ended.abort()
      await Promise.allSettled([...works.values()].map((work) => work.done))
    },
  }
}

/** Other commands make another build of the same files. */
export function buildKey(image: Pick<Image, 'digest' | 'build'>): string {
  const commands = createHash('sha256').update(JSON.stringify(image.build)).digest('hex')
  return `${image.digest.slice('sha256:'.length)}-${commands.slice(0, 16)}`
}

async function prepareImage(
  ports: ImagesPorts,
  key: string,
  image: Image,
  signal: AbortSignal,
  onPhase: (phase: Phase) => void,
): Promise<{ folder: string }> {
  const { clock, log, shelf } = ports
  const startedAt = clock.now()
  try {
    await refuseFullDisk(ports)
    await using workspace = disposable(await shelf.workspace())
    await ports.fetch(image.digest, workspace.file, signal)
    await ports.unpack(workspace.file, workspace.unpacked)
    const { folder, mark } = await shelf.place(key, workspace.unpacked)
    if (image.build.length > 0) {
      await refuseFullDisk(ports)
      onPhase('building')
      const job = {
        commands: image.build,
        folder,
        timeoutMs: image.build_timeout_ms,
        logFile: shelf.buildLogFile(key),
        mark,
      }
      const end = await ports.build(job, signal)
      if (end.kind !== 'done') throw await buildError(ports, image, end)
    }
    await shelf.finish({ key, digest: image.digest, builtAt: clock.wall() })
    log.info({ digest: image.digest, tookMs: Math.round(clock.now() - startedAt) }, 'image ready')
    return { folder }
  } catch (error) {
    await shelf.remove(key).catch((cause: unknown) => {
      log.warn({ build: key, why: messageOf(cause) }, 'a broken build could not be deleted yet')
    })
    if (error instanceof PrepareError) throw error
    throw new PrepareError({ error: messageOf(error).slice(0, 2_000) })
  }
}

async function refuseFullDisk({ shelf }: ImagesPorts): Promise<void> {
  const used = await shelf.diskUsed()
  if (used < DISK_USED_MAX) return
  throw new PrepareError({
    error:
      `the agent's disk is ${Math.floor(used * 100)} % full; ` +
      `images are not prepared from ${DISK_USED_MAX * 100} % on`,
  })
}

async function buildError(
  { shelf }: ImagesPorts,
  image: Image,
  end: Exclude<BuildEnd, { kind: 'done' }>,
): Promise<PrepareError> {
  const tail = (await shelf.buildLog(image.digest, LOG_TAIL_LINES_MAX)) ?? []
  const command = end.command.join(' ').slice(0, 500)
  const detail = { log_tail: tail }
  switch (end.kind) {
    case 'timed_out': {
      const seconds = image.build_timeout_ms / 1_000
      return new PrepareError({
        ...detail,
        error: `build timeout: ${command} was killed, the build may take ${seconds} s`,
      })
    }
    case 'not_started':
      return new PrepareError({ ...detail, error: `build: ${command}: ${end.why}` })
    case 'failed':
      return new PrepareError({
        ...detail,
        error: `build: ${command}: ${endWords(end)}`,
        ...(end.exitCode === undefined ? {} : { exit_code: end.exitCode }),
        ...(end.signal === undefined ? {} : { exit_signal: end.signal }),
      })
  }
}

function endWords(end: { exitCode?: number; signal?: string }): string {
  if (end.exitCode !== undefined) return `exit code ${end.exitCode}`
  return end.signal === undefined ? 'ended in an unknown way' : `killed by ${end.signal}`
}

function disposable<T extends { dispose(): Promise<void> }>(thing: T): T & AsyncDisposable {
  return { ...thing, [Symbol.asyncDispose]: () => thing.dispose() }
}
