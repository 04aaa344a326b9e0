// Runs the commands of a build: each an argv without a shell, leader of its own process group,
// with an environment from a short list. When a command ends, or the deadline strikes, its whole
// group and whatever left the group are killed, so that a build leaves files and nothing else.

import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { BuildGroup } from '#agentd/isolation/box.io.ts'
import { giveEnvironment, type Users } from '#agentd/isolation/users.io.ts'
import { messageOf } from '#shared/errors.ts'
import { type CappedOutput, capOutput } from './capped-output.ts'
import type { BuildEnd, BuildJob } from './image-ports.ts'
import { killMarked, killQuietly } from './marked-processes.io.ts'

export const BUILD_MARK = 'TUCANO_BUILD'
/** A build that prints without end is read no faster than this, so that the agent keeps its CPU. */
const FLOOD_BYTES = 2 * 1024 * 1024
const FLOOD_PAUSE_MS = 100
/** How long the output is waited for after all known writers are dead. */
const OUTPUT_END_MS = 1_000

type Sink = { handle: FileHandle; output: CappedOutput }
type Watch = { signal: AbortSignal; isLate: () => boolean }

/**
 * Enters a control group by the files up to `--`, and becomes the command that follows. The user's
 * words are arguments of the shell and never part of its script.
 */
const ENTER = `while [ "$1" != -- ]; do
  echo $$ >"$1" || exit 125
  shift
done
shift
exec "$@"`

export type Surroundings = {
  environment: Readonly<Record<string, string>>
  group: BuildGroup
  users: Pick<Users, 'ownerOf' | 'dress' | 'give'>
}

/** `environment` is what every build gets; HOME and TMPDIR are the build's own. */
export async function runBuild(
  job: BuildJob,
  signal: AbortSignal,
  { environment, group, users }: Surroundings,
): Promise<BuildEnd> {
  // A former agent may have been killed in the middle of this very build.
  await killMarked(BUILD_MARK, job.mark)
  const temporary = join(job.folder, '..', 'tmp')
  await mkdir(temporary, { recursive: true })
  const owner = await users.ownerOf(undefined)
  if (owner !== undefined) {
    for (const folder of [job.folder, temporary]) await users.give(folder, owner)
  }
  const clothes = owner && {
    dress: (argv: readonly string[]) =>
      users.dress({ owner, kept: [dirname(job.folder)], tmp: temporary, argv }),
  }
  const env = { ...environment, HOME: job.folder, TMPDIR: temporary, [BUILD_MARK]: job.mark }

  await using handle = await open(job.logFile, 'w', 0o600)
  const sink = { handle, output: capOutput() }
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), job.timeoutMs)
  const watch = {
    signal: AbortSignal.any([signal, deadline.signal]),
    isLate: () => deadline.signal.aborted,
  }
  try {
    for (const command of job.commands) {
      const end = await runCommand(command, job, env, { sink, watch, group, clothes })
      if (end.kind !== 'done') return end
    }
    return { kind: 'done' }
  } finally {
    clearTimeout(timer)
    await rm(temporary, { recursive: true, force: true })
    await handle.appendFile(sink.output.end())
  }
}

type Means = {
  sink: Sink
  watch: Watch
  group: BuildGroup
  clothes: { dress(argv: readonly string[]): string[] } | undefined
}

async function runCommand(
  command: readonly string[],
  job: BuildJob,
  env: Readonly<Record<string, string>>,
  { sink, watch, group: { entries, empty }, clothes }: Means,
): Promise<BuildEnd> {
  if (watch.isLate()) return { kind: 'timed_out', command }
  if (watch.signal.aborted) return { kind: 'not_started', command, why: 'the agent is stopping' }
  await write(sink, Buffer.from(`$ ${command.join(' ')}\n`))

  // Without a group there is nothing to enter, and no need of a shell.
  const own = clothes?.dress(command) ?? command
  const inGroup = ['/bin/sh', '-c', ENTER, 'tucano', ...entries, '--', ...own]
  const [file = '', ...args] = entries.length === 0 ? own : inGroup
  const child = execa(file, args, {
    cwd: job.folder,
    env: clothes === undefined ? env : { [BUILD_MARK]: job.mark },
    extendEnv: false,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...(clothes === undefined ? [] : ['pipe' as const])],
    all: true,
    buffer: false,
    reject: false,
  })
  const finished = child.then((result) => result)
  const group = child.pid
  if (group === undefined) {
    const { originalMessage } = await finished
    return { kind: 'not_started', command, why: originalMessage ?? 'cannot be started' }
  }
  if (clothes !== undefined) giveEnvironment(child.nodeChildProcess, env)
  const killGroup = () => killQuietly(-group)
  watch.signal.addEventListener('abort', killGroup)
  // The exit is waited for, not the end of the output: a daemon may hold that open for ever.
  const exit = new Promise<[number | null, string | null]>((resolve) => {
    child.nodeChildProcess.once('exit', (code, signal) => resolve([code, signal]))
  })
  const pumped = pump(child.all, sink)
  const [code, signal] = await exit
  watch.signal.removeEventListener('abort', killGroup)
  killGroup()
  // Before the output is waited for, which what was left behind may hold open.
  await empty()
  await killMarked(BUILD_MARK, job.mark)
  await Promise.race([pumped, sleep(OUTPUT_END_MS, undefined, { ref: false })])
  child.all.destroy()
  await pumped

  if (watch.isLate()) return { kind: 'timed_out', command }
  if (code === 0) return { kind: 'done' }
  if (code !== null) return { kind: 'failed', command, exitCode: code }
  return { kind: 'failed', command, signal: signal ?? 'unknown' }
}

async function pump(output: AsyncIterable<unknown>, sink: Sink): Promise<void> {
  let flood = 0
  try {
    for await (const piece of output) {
      const chunk = typeof piece === 'string' ? Buffer.from(piece) : (piece as Buffer)
      await write(sink, chunk)
      flood += sink.output.isFull() ? chunk.length : 0
      if (flood < FLOOD_BYTES) continue
      flood = 0
      await sleep(FLOOD_PAUSE_MS)
    }
  } catch (error) {
    // Destroyed because a process that hid from us still holds it open, or the log's disk is full.
    await write(sink, Buffer.from(`[output lost: ${messageOf(error)}]\n`)).catch(() => undefined)
  }
}

async function write(sink: Sink, chunk: Buffer): Promise<void> {
  const now = sink.output.push(chunk)
  if (now !== undefined) await sink.handle.appendFile(now)
}
