// The edges of the feed: the unix socket of tucano_balancer, and its start as a process of its
// own session, so that whatever ends the controller does not end it.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { ControllerConfig } from '#shared/configuration.ts'
import { messageOf } from '#shared/errors.ts'
import type { Clock, Log, LogLevel } from '#shared/ports.ts'
import type { Settings } from './data-plane/loop/loop-table.ts'
import { createLines } from './data-plane/supervisor/lines.ts'
import { hearDataPlane, LINE_BYTES_MAX, SOCKET_NAME } from './data-plane/supervisor/protocol.ts'
import { createFeed, type Feed, type FeedPorts, type Link } from './feed.ts'

const MAIN = join(import.meta.dirname, 'data-plane/main.ts')
/** As in bin/tucano_balancer. */
const FLAGS = ['--import', join(import.meta.dirname, '../../bin/compile-cache.js')]
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2' }
const LOG_NAME = 'balancer.log'
/** Longer paths of unix sockets are cut off by the kernel. */
const SOCKET_PATH_MAX = 100
const UNSENT_BYTES_MAX = 1024 * 1024
const LAST_WORDS_MAX = 600
/** Among pino's levels. */
const WARN = 40

export type DataPlaneClient = Feed

export function createDataPlaneClient(given: {
  /** `<store.folder>/balancer`. */
  folder: string
  settings: Settings
  /** false: it is started by somebody else, and waited for. */
  mayStart: boolean
  clock: Clock
  log: Log
  logLevel: LogLevel
  version: string
}): DataPlaneClient {
  const { folder, settings, mayStart, clock, log, logLevel, version } = given
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return createFeed(
    {
      clock,
      log,
      version,
      dial: dialer(folder, log),
      launch: mayStart ? (ended) => tryToLaunch(folder, logLevel, ended) : undefined,
      upgradeCommand: [process.execPath, ...FLAGS, MAIN],
    },
    settings,
  )
}

export function balancerSettings({ balancer }: ControllerConfig): Settings {
  return {
    host: balancer.host,
    port: balancer.port,
    threads: balancer.threads,
    trustedProxies: balancer.trusted_proxies,
    accessLog: balancer.access_log === 'off' ? null : balancer.access_log,
    connectionsMax: balancer.connections_max,
    connectionsPerIp: balancer.connections_per_ip,
  }
}

function dialer(folder: string, log: Log): FeedPorts['dial'] {
  return (on) =>
    new Promise((resolve, reject) => {
      const { path, close } = pathTo(folder)
      const socket = connect({ path })
      socket.once('error', (error) => {
        close()
        reject(error)
      })
      socket.once('connect', () => {
        close()
        socket.on('error', (error) => log.debug({ error: error.message }, 'the data plane is gone'))
        socket.once('close', on.closed)
        socket.on('drain', on.emptied)
        listen(socket, on.heard, log)
        resolve(linkOver(socket))
      })
    })
}

/** By the folder's descriptor where the path is too long for a socket's address. */
function pathTo(folder: string): { path: string; close(): void } {
  const path = join(folder, SOCKET_NAME)
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) return { path, close: () => {} }
  const descriptor = openSync(folder, 'r')
  return {
    path: `/proc/self/fd/${descriptor}/${SOCKET_NAME}`,
    close: () => closeSync(descriptor),
  }
}

function linkOver(socket: Socket): Link {
  return {
    send(message) {
      if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`)
    },
    isFull: () => socket.writableLength > UNSENT_BYTES_MAX,
    close: () => void socket.end(),
  }
}

function listen(socket: Socket, heard: Parameters<FeedPorts['dial']>[0]['heard'], log: Log): void {
  const lines = createLines(LINE_BYTES_MAX)
  socket.on('data', (bytes) => {
    try {
      for (const line of lines.feed(bytes)) {
        const read = hearDataPlane(line)
        if ('message' in read) heard(read.message)
        // A newer program may say more than this one knows.
        else log.warn({ error: read.error }, 'the data plane said what is not understood')
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      log.error({ error: error.message }, 'the data plane said too much at once')
      socket.destroy()
    }
  })
}

/** What cannot be started now may be later: it is tried again like one that ended at once. */
function tryToLaunch(folder: string, logLevel: LogLevel, ended: (words: string) => void): void {
  try {
    launch(folder, logLevel, ended)
  } catch (error) {
    ended(messageOf(error))
  }
}

/**
 * It logs to a file of its own folder: the controller's standard error may be a pipe or a terminal
 * that ends with the controller, and at three in the morning the file is there, whoever lives.
 */
function launch(folder: string, logLevel: LogLevel, ended: (words: string) => void): void {
  const file = join(folder, LOG_NAME)
  const log = openSync(file, 'a', 0o600)
  const from = statSync(file).size
  const args = ['--folder', folder, '--log-level', logLevel, '--log-file', file]
  const child = spawn(process.execPath, [...FLAGS, MAIN, ...args], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...ENVIRONMENT },
  })
  closeSync(log)
  child.unref()
  child.once('error', (error) => ended(messageOf(error)))
  child.once('exit', (code, signal) => {
    const words = lastWords(file, from)
    ended(`${signal ?? `exit code ${code}`}${words === '' ? '' : `: ${words}`} (${file})`)
  })
}

function lastWords(file: string, from: number): string {
  try {
    const text = readFileSync(file).subarray(from).toString('utf8').trim()
    return text.split('\n').slice(-3).map(wordsOf).join(' ').trim().slice(-LAST_WORDS_MAX)
  } catch {
    return '' // It was moved away.
  }
}

/** Of a line of its log what went wrong; that all was well before says nothing of its end. */
function wordsOf(line: string): string {
  try {
    const { level, msg, error } = JSON.parse(line) as Record<string, unknown>
    return Number(level) < WARN ? '' : [msg, error].filter(Boolean).join(': ')
  } catch {
    return line // Words of Node itself, or of a start that failed.
  }
}
