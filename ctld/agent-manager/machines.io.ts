// Runs a machine's restart command (Q05): no shell, few variables of our environment, a process
// group of its own that is killed whole when the time is up.

import { execa } from 'execa'
import type { Machines } from '#ctld/ports.ts'
import { TucanoError } from '#shared/errors.ts'

export const OUTPUT_TAIL_MAX = 500
/** What ssh and the like need; the controller's secrets may stand in the others. */
const VARIABLES = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'SSH_AUTH_SOCK']
/** How long output may still come after the command itself has ended. */
const LAST_WORDS_MS = 200

type Ended = { code: number | null; signal: string | null }

export function createMachines(): Machines {
  return { restart }
}

async function restart(command: readonly string[], timeoutMs: number): Promise<void> {
  const [program, ...args] = command
  if (program === undefined) throw new TucanoError('usage', 'the restart command is empty')
  const child = execa(program, args, {
    all: true,
    buffer: false,
    cleanup: false,
    detached: true,
    env: environment(),
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  })
  let tail = ''
  child.all.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-OUTPUT_TAIL_MAX)
  })
  const { pid } = child
  if (pid === undefined) {
    const { shortMessage } = await child
    throw new TucanoError('unavailable', `${program} did not start: ${shortMessage ?? 'unknown'}`)
  }

  let late = false
  const timer = setTimeout(() => {
    late = true
    killGroup(pid)
  }, timeoutMs)
  const { code, signal } = await new Promise<Ended>((resolve) => {
    child.nodeChildProcess.once('exit', (code, signal) => resolve({ code, signal }))
  })
  clearTimeout(timer)
  await lastWords(child.all)

  if (late) {
    throw new TucanoError('timeout', `${program} took longer than ${timeoutMs} ms${said(tail)}`)
  }
  if (code === 0) return
  const how = code === null ? `was ended by ${signal}` : `exited with ${code}`
  throw new TucanoError('unavailable', `${program} ${how}${said(tail)}`)
}

/** A program that it left running may hold its output open for ever: it is not waited for. */
async function lastWords(output: NodeJS.ReadableStream & { destroy(): unknown }): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, LAST_WORDS_MS)
    output.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
  output.destroy()
}

function environment(): Record<string, string> {
  return Object.fromEntries(
    VARIABLES.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // It ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** One line without control characters: it goes into logs and mails. */
function said(tail: string): string {
  const words = tail.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
  return words === '' ? '' : `; it said: ${words}`
}
