// Finds the controller and the token: flags, else the environment, else a context file. A token
// is only ever sent where it was meant to go: that of a context file goes to the controller of
// that file.

import { open } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { readToken } from '#shared/read-config.io.ts'
import type { Flags } from './command.ts'

const CONTEXT_BYTES_MAX = 16 * 1024
const FOLDERS_MAX = 100

export type Found = { url: string; token: string; source: string }

type ContextFile = { file: string; controller: string; tokenFile: string }

/** Throws `usage` when nothing says where, `invalid_config` for what says it wrongly. */
export async function findController(given: {
  flags: Flags
  env: NodeJS.ProcessEnv
  folder: string
}): Promise<Found> {
  const { flags, env } = given
  const named = flags.text('controller') ?? env.TUCANO_CONTROLLER
  const context = await findContext(given)
  const source = flags.text('controller') !== undefined ? '--controller' : 'TUCANO_CONTROLLER'
  const url = named === undefined ? context?.controller : checkUrl(named, source)
  if (url === undefined) throw nowhere()
  const token = await ownToken(given)
  if (token !== undefined) return { url, token, source: named === undefined ? 'context' : source }
  if (context === undefined || context.controller !== url) throw noToken(url)
  return { url, token: await readToken({ file: context.tokenFile }), source: context.file }
}

async function ownToken({
  flags,
  env,
  folder,
}: {
  flags: Flags
  env: NodeJS.ProcessEnv
  folder: string
}): Promise<string | undefined> {
  const file = flags.text('token-file') ?? env.TUCANO_TOKEN_FILE
  if (file !== undefined) return readToken({ file: resolve(folder, file) })
  return env.TUCANO_TOKEN === undefined ? undefined : readToken({ env: 'TUCANO_TOKEN' })
}

async function findContext({
  env,
  folder,
}: {
  env: NodeJS.ProcessEnv
  folder: string
}): Promise<ContextFile | undefined> {
  let at = resolve(folder)
  for (let count = 0; count < FOLDERS_MAX; count += 1) {
    const near = await readContext(join(at, '.tucano', 'context.json'), 'inside')
    if (near !== undefined) return near
    if (dirname(at) === at) break
    at = dirname(at)
  }
  const home =
    env.XDG_CONFIG_HOME ?? (env.HOME === undefined ? undefined : join(env.HOME, '.config'))
  if (home === undefined) return undefined
  return readContext(join(home, 'tucano', 'context.json'), 'anywhere')
}

/**
 * A context that lies in a project folder may have come with it, say by git: it must be the
 * user's own and may only name a token that lies beside it, so that no folder can send the
 * user's other files to an address of its choice.
 */
async function readContext(
  file: string,
  tokens: 'inside' | 'anywhere',
): Promise<ContextFile | undefined> {
  const text = await readOwn(file)
  if (text === undefined) return undefined
  const data = parsed(text, file)
  const { controller, token_file: tokenFile } = data
  if (typeof controller !== 'string' || typeof tokenFile !== 'string') {
    throw broken(file, 'expected {"controller": URL, "token_file": FILE}')
  }
  const folder = dirname(file)
  const path = resolve(folder, tokenFile)
  if (tokens === 'inside' && !path.startsWith(folder + sep)) {
    throw broken(file, 'its token_file lies outside its folder')
  }
  return { file, controller: checkUrl(controller, file), tokenFile: path }
}

async function readOwn(file: string): Promise<string | undefined> {
  try {
    await using handle = await open(file)
    const { uid, size } = await handle.stat()
    if (process.getuid !== undefined && uid !== process.getuid() && uid !== 0) {
      throw broken(file, 'it belongs to another user')
    }
    if (size > CONTEXT_BYTES_MAX) throw broken(file, 'it is too large')
    return await handle.readFile('utf8')
  } catch (error) {
    if (error instanceof TucanoError) throw error
    const { code } = error as NodeJS.ErrnoException
    // A folder above that may not be entered has no context of ours.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined
    throw broken(file, messageOf(error))
  }
}

function parsed(text: string, file: string): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse(text)
    if (typeof data === 'object' && data !== null) return data as Record<string, unknown>
  } catch (cause) {
    throw broken(file, messageOf(cause))
  }
  throw broken(file, 'expected an object')
}

function checkUrl(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === undefined || !isWeb || url.search !== '' || url.hash !== '') {
    throw new TucanoError('usage', `${source}: not an address like http://10.0.0.10:7070: ${text}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new TucanoError('usage', `${source}: no user or password goes into the address`)
  }
  return url.href.replace(/\/+$/, '')
}

function broken(file: string, why: string): TucanoError {
  return new TucanoError('invalid_config', `${file} cannot be used: ${why}`)
}

function nowhere(): TucanoError {
  return new TucanoError(
    'usage',
    'nothing says where the controller is\n' +
      'give --controller URL and --token-file FILE, or set TUCANO_CONTROLLER and\n' +
      'TUCANO_TOKEN_FILE, or write ~/.config/tucano/context.json:\n' +
      '  {"controller": "http://10.0.0.10:7070", "token_file": "/path/to/admin-token"}\n' +
      'or start a cluster on this machine: tucano up\n' +
      'or call it in the folder of `tucano up`, or:\n' +
      '  export TUCANO_CONTROLLER=http://127.0.0.1:7070 TUCANO_TOKEN_FILE=/path/to/admin-token',
  )
}

function noToken(url: string): TucanoError {
  return new TucanoError(
    'usage',
    `there is no token for ${url}: give --token-file FILE or set TUCANO_TOKEN_FILE ` +
      "(the controller keeps it as admin-token in its store's folder)",
  )
}
