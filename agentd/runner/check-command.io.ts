// A check that is a command: run as the program itself is run, in its folder, with its environment
// and inside its limits, in a process group of its own that does not outlive its time.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { giveEnvironment, type Inside } from '#agentd/isolation/users.io.ts'
import type { ProbeAnswer, ProgramMark } from '#agentd/ports.ts'
import { messageOf } from '#shared/errors.ts'
import { isRunning } from './proc.io.ts'

/** Of all instances together; further ones wait for their turn. */
export const COMMANDS_MAX = 32
/** Only the end of what it prints is kept, and a line of that is told. */
const OUTPUT_LENGTH_MAX = 4 * 1024
const LINE_LENGTH_MAX = 300
/** How long its last words may take when its end is known; a child of it may hold them back. */
const LAST_WORDS_MS = 100
/** Beside the one on which the checker tells its result. */
const ENVIRONMENT_FD = 4

/**
 * Leads the group and tells the command's exit code on its own pipe, which the command does not
 * get: what it leaves behind cannot keep anybody waiting. Then it kills the group, itself included,
 * since later nobody can name that group for sure. The files up to `--` are those by which the
 * program's control group is entered.
 */
const CHECKER = `while [ "$1" != -- ]; do
  echo $$ >"$1" || exit 1
  shift
done
shift
"$@" 3>&-
echo "$?" >&3
kill -KILL 0`

export type CommandCheck = {
  argv: readonly string[]
  mark: ProgramMark
  timeoutMs: number
  /** Files of the program's control group. */
  entries: readonly string[]
  /** Where the program does not run as the agent: one of its processes, and how to join it. */
  inside?: Inside | undefined
}

export type CommandChecks = { run(check: CommandCheck): Promise<ProbeAnswer> }

/** `boot`: the present one, to know a program by its mark. */
export function createCommandChecks(boot: string): CommandChecks {
  const waiting: (() => void)[] = []
  let running = 0

  return {
    async run(check) {
      if (running < COMMANDS_MAX) running += 1
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await runNow(check, boot)
      } catch (error) {
        return { ok: false, words: `${nameOf(check)} could not be run: ${messageOf(error)}` }
      } finally {
        const next = waiting.shift()
        // Who waited takes this turn.
        if (next === undefined) running -= 1
        else next()
      }
    },
  }
}

async function runNow(check: CommandCheck, boot: string): Promise<ProbeAnswer> {
  const { argv, mark, timeoutMs, entries } = check
  const shell = await environmentOf(mark.pid)
  // The shell of a program that has less power than the agent has nothing of its environment.
  const isDressed = shell.HOME === undefined
  const inside = isDressed ? check.inside : undefined
  // What the program was given, secrets included, whichever agent started it.
  const env = inside === undefined ? shell : await environmentOf(inside.pid)
  if (!isRunning(mark, boot)) return { ok: false, words: 'its program does not run' }
  if (isDressed && inside === undefined)
    return { ok: false, words: 'its program has not begun yet' }
  const words = inside?.dress(argv, ENVIRONMENT_FD) ?? argv
  const child = spawn('/bin/sh', ['-c', CHECKER, 'tucano', ...entries, '--', ...words], {
    cwd: `/proc/${mark.pid}/cwd`,
    // A shell that has more rights than the program gets nothing of its environment.
    env: inside === undefined ? env : {},
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(inside === undefined ? [] : ['pipe' as const])],
  })
  if (inside !== undefined) giveEnvironment(child, env, ENVIRONMENT_FD)
  return answerOf(child, nameOf(check), timeoutMs)
}

function answerOf(child: ChildProcess, name: string, timeoutMs: number): Promise<ProbeAnswer> {
  const output = lastWordsOf([child.stdout, child.stderr])
  const [, , , report] = child.stdio as Readable[]
  return new Promise((resolve) => {
    let told = ''
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      killGroup(child)
    }, timeoutMs)
    report?.setEncoding('latin1').on('data', (text: string) => {
      told = (told + text).slice(0, 8)
    })
    const done = async () => {
      clearTimeout(timer)
      const words = await output()
      const code = Number(told)
      if (isLate) resolve({ ok: false, words: `${name} did not end within ${timeoutMs} ms` })
      else if (told === '') resolve({ ok: false, words: `${name} was killed${words}` })
      else resolve({ ok: code === 0, words: `${name}: exit code ${code}${words}` })
    }
    report?.once('close', done).on('error', () => report.destroy())
    child.once('error', (error) => {
      clearTimeout(timer)
      resolve({ ok: false, words: `${name} could not be run: ${error.message}` })
    })
  })
}

/** The last line of both, in words; however much there is. */
function lastWordsOf(streams: (Readable | null)[]): () => Promise<string> {
  let text = ''
  const ended = streams.map((stream) => {
    stream?.setEncoding('utf8').on('data', (more: string) => {
      text = (text + more).slice(-OUTPUT_LENGTH_MAX)
    })
    stream?.on('error', () => stream.destroy())
    return new Promise((resolve) => stream?.once('close', resolve))
  })
  return async () => {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, LAST_WORDS_MS)
    await Promise.race([Promise.all(ended), late])
    clearTimeout(timer)
    for (const stream of streams) stream?.destroy()
    const line =
      text
        .trimEnd()
        .split('\n')
        .at(-1)
        ?.replace(/\p{Cc}/gu, ' ')
        .trim() ?? ''
    return line === '' ? '' : `: ${line.slice(0, LINE_LENGTH_MAX)}`
  }
}

/** Its leader has not ended yet, or its exit is not known yet: the name of the group is its own. */
function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function environmentOf(pid: number): Promise<Record<string, string>> {
  const environ = await readFile(`/proc/${pid}/environ`, 'utf8')
  const pairs = environ.split('\0').flatMap((pair): [string, string][] => {
    const at = pair.indexOf('=')
    return at <= 0 ? [] : [[pair.slice(0, at), pair.slice(at + 1)]]
  })
  return Object.fromEntries(pairs)
}

function nameOf({ argv }: CommandCheck): string {
  return (argv[0] ?? '').slice(0, LINE_LENGTH_MAX)
}
