// tucano_balancer: carries the traffic, as a program of its own that outlives the controller.
// Opens its edges, joins them to the supervisor, hands over to a successor. Wiring.

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { chdir, umask } from 'node:process'
import { parseArgs } from 'node:util'
import { machineClock } from '#shared/clock.io.ts'
import { runDaemon, stopOnSignal, VERSION } from '#shared/daemon.io.ts'
import { machineDisk } from '#shared/disk.io.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { type FolderLock, lockFolder } from '#shared/lock.io.ts'
import { createLog } from '#shared/log.io.ts'
import { isLogLevel, type Log, type LogLevel } from '#shared/ports.ts'
import {
  clearColumn,
  createCountsBuffer,
  growColumns,
  LOOPS_MAX,
  SLOTS_MAX,
} from './loop/shared-counts.ts'
import { boundLog } from './supervisor/bounded-log.io.ts'
import { type Control, openControl } from './supervisor/control.io.ts'
import { createKeptTables } from './supervisor/kept-table.ts'
import { findPredecessor } from './supervisor/predecessor.io.ts'
import { SOCKET_NAME, type ToDataPlane } from './supervisor/protocol.ts'
import { loopStarter, tellOfRoom } from './supervisor/start-loop.io.ts'
import { startSuccessor } from './supervisor/successor.io.ts'
import { createSupervisor, type Peer, type Supervisor } from './supervisor/supervisor.ts'
import { tryPort } from './supervisor/try-port.io.ts'

const HELP = `tucano_balancer: the data plane of a Tucano cluster

Usage: tucano_balancer --folder DIR [options]

Listens where the last route table says, and on DIR/control.sock for the controller, which
starts it when none runs. It goes on when the controller ends.

      --folder DIR      the last route table, the lock and the socket (<store.folder>/balancer)
      --log-level LEVEL debug, info (default), warn, error or silent
      --log-file FILE   standard error is this file already: keep it within 10 MiB
      --inherit         take over from the program that starts this one
  -h, --help            this text
  -V, --version         the version

Signals: SIGTERM and SIGINT let connections finish for 30 s; a second one ends it at once.
SIGUSR2 starts it anew from its files: no connection is refused.
Exit: 0 stopped in order, 1 failed, 2 wrong usage.
`

/** How long connections may take to finish when it stops or has handed over. */
const GRACE_MS = 30_000
const PID_NAME = 'balancer.pid'

type Options = { folder: string; logLevel: LogLevel; logFile: string | undefined; inherit: boolean }
type Program = {
  options: Options
  log: Log
  supervisor: Supervisor
  lock: FolderLock
  control: Control
}

await runDaemon('tucano_balancer', main)

async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2))
  if (options === undefined) return
  const log = createLog('tucano_balancer', options.logLevel)
  // Whoever may write to its socket has it start programs: also in a folder that others may enter.
  umask(0o077)
  await machineDisk.makeFolder(options.folder)
  // Paths of unix sockets are short (107 bytes); this folder's may be longer.
  chdir(options.folder)
  if (options.logFile !== undefined) boundLog(options.logFile)
  const program = options.inherit ? await succeed(options, log) : await begin(options, log)
  log.info({ version: VERSION }, 'data plane started')
  stopOnSignal(() => leave(program, { why: 'stop', graceMs: GRACE_MS }))
  process.on('SIGUSR2', () => upgrade(program, ownCommand()))
}

/** undefined: all is said already. Throws `usage`. */
function optionsOf(args: string[]): Options | undefined {
  const { values } = parsed(args)
  if (values.help === true || values.version === true) {
    process.stdout.write(values.help === true ? HELP : `${VERSION}\n`)
    return undefined
  }
  const { folder, 'log-level': logLevel = 'info', 'log-file': logFile, inherit = false } = values
  if (folder === undefined) throw usage('--folder DIR is missing')
  if (!isLogLevel(logLevel)) {
    throw usage(`--log-level is debug, info, warn, error or silent, not ${logLevel}`)
  }
  return { folder: resolve(folder), logLevel, logFile, inherit }
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        folder: { type: 'string' },
        'log-level': { type: 'string' },
        'log-file': { type: 'string' },
        inherit: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'V' },
      },
    })
  } catch (error) {
    throw usage(messageOf(error).split('. ')[0] ?? '')
  }
}

function usage(words: string): TucanoError {
  return new TucanoError('usage', `${words}; see tucano_balancer --help`)
}

/** Serves by the table on disk before anybody says anything. */
async function begin(options: Options, log: Log): Promise<Program> {
  const lock = await lockHere(options)
  const tables = tablesOf(options, log)
  const supervisor = supervisorOf(options, log, tables.save)
  const table = await tables.load()
  const serving = table === undefined ? undefined : supervisor.begin(table)
  const program = await own({ options, log, supervisor }, lock)
  await serving
  return program
}

/** Serves beside the predecessor first, and has the folder to itself then. */
async function succeed(options: Options, log: Log): Promise<Program> {
  const predecessor = findPredecessor()
  const supervisor = supervisorOf(options, log, tablesOf(options, log).save)
  const { table, sockets } = await predecessor.next('inherit')
  const failures = table === null ? [] : await supervisor.begin(table, sockets)
  const main = failures.find(({ port }) => port === table?.settings.port)
  // Then the predecessor goes on.
  if (main !== undefined) throw new TucanoError('port_taken', `port ${main.port}: ${main.error}`)
  predecessor.send({ kind: 'ready' })
  // One that was killed leaves folder and ports as well, and all that it had under way is gone.
  const yours = await predecessor.next('yours').catch(() => ({ table: null, routed: [] }))
  predecessor.on((message) => {
    if (message.kind === 'said' && message.line.kind === 'drained') {
      supervisor.predecessorDrained(message.line.instance, message.line.version)
    }
  })
  predecessor.onGone(() => supervisor.predecessorGone())
  supervisor.follow(yours.routed, (line) => predecessor.send({ kind: 'feed', line }))
  const lock = await lockHere(options)
  if (yours.table !== null) supervisor.renew(yours.table)
  return own({ options, log, supervisor }, lock)
}

/** The folder is this process's now: others find it here. */
async function own(given: Omit<Program, 'lock' | 'control'>, lock: FolderLock): Promise<Program> {
  const { supervisor, log } = given
  const on = {
    attached: (peer: Peer) => supervisor.attach(peer),
    detached: (peer: Peer) => supervisor.detach(peer),
    heard: (peer: Peer, message: ToDataPlane) => hear(program, peer, message),
  }
  const program: Program = { ...given, lock, control: await openControl(SOCKET_NAME, on, log) }
  writePid(log)
  return program
}

/** Its unit follows an upgrade by it; a full disk is no reason not to serve. */
function writePid(log: Log): void {
  try {
    writeFileSync(PID_NAME, `${process.pid}\n`)
  } catch (error) {
    log.error({ file: PID_NAME, error: messageOf(error) }, 'the number of the process is not kept')
  }
}

function hear(program: Program, peer: Peer, message: ToDataPlane): void {
  switch (message.kind) {
    case 'table':
    case 'counters':
      program.supervisor.hear(peer, message)
      return
    case 'upgrade':
      void upgrade(program, [...message.command, ...ownArgs()])
      return
    case 'stop':
      program.log.info({}, 'the controller stops the data plane')
      void leave(program, { why: 'stop', graceMs: message.graceMs }).then(() => process.exit(0))
      return
  }
}

let isHandingOver = false
let leaving: Promise<void> | undefined

type Leave = { why: 'stop' | 'upgrade'; graceMs: number; onFree?: () => void }

/** The first one counts. */
function leave(program: Program, how: Leave): Promise<void> {
  leaving ??= leaveOnce(program, how)
  return leaving
}

/** Folder and socket are free for another at once; what is under way here may finish. */
async function leaveOnce(program: Program, how: Leave): Promise<void> {
  const { supervisor, control, lock, log } = program
  const { why, graceMs, onFree } = how
  await control.close(why)
  await supervisor.settled()
  lock[Symbol.dispose]()
  const drained = supervisor.drain(graceMs)
  onFree?.()
  log.info({ why, graceMs }, 'data plane takes no more connections')
  await drained
}

async function upgrade(program: Program, command: readonly string[]): Promise<void> {
  if (isHandingOver || leaving !== undefined) return
  isHandingOver = true
  const { supervisor, log } = program
  const peer: Peer = { send: (line) => successor?.send({ kind: 'said', line }) }
  const fed = (message: ToDataPlane) => {
    if (message.kind === 'table') supervisor.hear(peer, message)
  }
  const given = { table: supervisor.table() ?? null, sockets: await supervisor.listening() }
  const successor = await startSuccessor(
    [...command, '--inherit'],
    given,
    { fed },
    machineClock,
  ).catch((error: unknown) => {
    log.error({ error: messageOf(error), command }, 'the upgrade failed; this program goes on')
    return undefined
  })
  if (successor === undefined) {
    isHandingOver = false
    return
  }
  const onFree = () => {
    supervisor.attach(peer)
    const table = supervisor.table() ?? null
    successor.send({ kind: 'yours', table, routed: supervisor.routed() })
    log.info({ successor: successor.pid }, 'handed over')
  }
  await leave(program, { why: 'upgrade', graceMs: GRACE_MS, onFree })
  process.exit(0)
}

function ownCommand(): string[] {
  return [process.execPath, ...process.execArgv, import.meta.filename, ...ownArgs()]
}

function ownArgs(): string[] {
  return process.argv.slice(2).filter((word) => word !== '--inherit')
}

function lockHere({ folder }: Options): Promise<FolderLock> {
  return lockFolder({ folder, daemon: 'balancer' }, machineClock)
}

function tablesOf({ folder }: Options, log: Log) {
  return createKeptTables({ disk: machineDisk, clock: machineClock, log }, folder)
}

function supervisorOf(
  { logLevel }: Options,
  log: Log,
  keep: ReturnType<typeof tablesOf>['save'],
): Supervisor {
  const counts = createCountsBuffer(1)
  return createSupervisor({
    clock: machineClock,
    log,
    program: VERSION,
    pid: process.pid,
    cores: Math.min(availableParallelism(), LOOPS_MAX),
    slotsMax: SLOTS_MAX,
    startLoop: loopStarter(new URL('./loop/loop-worker.io.ts', import.meta.url), {
      counts,
      logLevel,
    }),
    growColumns: (columns) => growColumns(counts, columns),
    clearColumn: (column) => tellOfRoom(clearColumn(counts, column)),
    keep,
    tryPort,
  })
}
