// Reads configurations and secrets from files. Relative paths inside a configuration start at
// its own folder. A secret is never part of an error.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { checkAgentConfig } from './agent-config.ts'
import type { AgentConfig, ControllerConfig, SecretRef, ServiceConfig } from './configuration.ts'
import { DOCUMENT_BYTES_MAX, type SourceDocument } from './document.ts'
import { messageOf, TucanoError } from './errors.ts'
import { parseYamlSafely } from './parse-yaml-safely.io.ts'
import { checkServiceDocument } from './service-config.ts'
import { checkTopology } from './topology.ts'
import { readYaml, tooLarge } from './yaml-document.ts'

export const SECRET_LENGTH_MAX = 4_096
export const TOKEN_LENGTH_MIN = 16

export async function readTopologyFile(file: string): Promise<ControllerConfig> {
  return readTopologyText(await readText(file), file)
}

/** The configuration that `text` is; `file` is where it stands or will stand. */
export async function readTopologyText(text: string, file: string): Promise<ControllerConfig> {
  const config = checkTopology(await parseYamlSafely(text, basename(file)))
  const { api, alerts } = config
  const at = (ref: SecretRef) => resolveSecret(ref, file)
  const tokens = { admin_token: at(api.admin_token), agent_token: at(api.agent_token) }
  return {
    ...config,
    api: { ...api, ...tokens },
    alerts:
      alerts.smtp === undefined ? alerts : { ...alerts, smtp: resolveSmtp(alerts.smtp, file) },
  }
}

export async function readAgentFile(file: string): Promise<AgentConfig> {
  const config = checkAgentConfig(readYaml(await readText(file), basename(file)))
  return { ...config, token: resolveSecret(config.token, file) }
}

export async function readServiceFile(file: string): Promise<ServiceConfig> {
  const config = checkServiceDocument(await readDocument(file))
  const { path, archive } = config.image
  const image = {
    ...config.image,
    ...(path === undefined ? {} : { path: beside(file, path) }),
    ...(archive === undefined ? {} : { archive: beside(file, archive) }),
  }
  return { ...config, image }
}

/** A YAML file as data with positions: at most DOCUMENT_BYTES_MAX, read within the deadline. */
export async function readDocument(file: string): Promise<SourceDocument> {
  const text = await readText(file)
  return parseYamlSafely(text, basename(file))
}

/** The secret that `ref` names, without one trailing newline. Throws `invalid_config`. */
export async function readSecret(ref: SecretRef): Promise<string> {
  const text = 'env' in ref ? process.env[ref.env] : await readPrivateFile(ref.file)
  if (text === undefined) {
    throw new TucanoError('invalid_config', `${sourceOf(ref)} is not set`)
  }
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw new TucanoError('invalid_config', `${sourceOf(ref)} is empty`)
  if (/\p{Cc}/u.test(secret)) {
    throw new TucanoError('invalid_config', `${sourceOf(ref)} holds more than one line`)
  }
  return secret
}

/** A secret that is long enough to be a token. */
export async function readToken(ref: SecretRef): Promise<string> {
  const token = await readSecret(ref)
  if (token.length < TOKEN_LENGTH_MIN || !/^[\x21-\x7e]+$/.test(token)) {
    const rule = `at least ${TOKEN_LENGTH_MIN} visible ASCII characters`
    throw new TucanoError('invalid_config', `the token in ${sourceOf(ref)} must have ${rule}`)
  }
  return token
}

const sourceOf = (ref: SecretRef) =>
  'env' in ref ? `environment variable ${ref.env}` : `secret file ${ref.file}`

/** UTF-8 text of at most DOCUMENT_BYTES_MAX; throws `invalid_config`. */
export async function readText(file: string): Promise<string> {
  try {
    await using handle = await open(file)
    const { size } = await handle.stat()
    if (size > DOCUMENT_BYTES_MAX) throw tooLarge(basename(file), size)
    // One byte more than allowed: a pipe has no size, and a file may grow meanwhile.
    const bytes = Buffer.alloc(DOCUMENT_BYTES_MAX + 1)
    const length = await fill(handle, bytes)
    if (length > DOCUMENT_BYTES_MAX) throw tooLarge(basename(file), length)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length))
  } catch (cause) {
    if (cause instanceof TucanoError) throw cause
    const reason = cause instanceof TypeError ? 'it is not UTF-8 text' : messageOf(cause)
    throw new TucanoError('invalid_config', `cannot read ${file}: ${reason}`, { cause })
  }
}

type Readable = { read(into: Buffer, offset: number): Promise<{ bytesRead: number }> }

async function fill(handle: Readable, bytes: Buffer): Promise<number> {
  let length = 0
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return length
}

async function readPrivateFile(file: string): Promise<string> {
  try {
    await using handle = await open(file, constants.O_RDONLY)
    const { mode, size } = await handle.stat()
    if ((mode & 0o077) !== 0) {
      const seen = (mode & 0o777).toString(8)
      const what = `secret file ${file} has mode ${seen}: others can read it; run: chmod 600 ${file}`
      throw new TucanoError('invalid_config', what)
    }
    if (size > SECRET_LENGTH_MAX) {
      throw new TucanoError(
        'invalid_config',
        `secret file ${file} is longer than ${SECRET_LENGTH_MAX} bytes`,
      )
    }
    return await handle.readFile('utf8')
  } catch (cause) {
    if (cause instanceof TucanoError) throw cause
    throw new TucanoError(
      'invalid_config',
      `cannot read secret file ${file}: ${messageOf(cause)}`,
      { cause },
    )
  }
}

const beside = (file: string, path: string) => resolve(dirname(file), path)

function resolveSecret(ref: SecretRef, file: string): SecretRef {
  return 'env' in ref ? ref : { file: beside(file, ref.file) }
}

function resolveSmtp<T extends { password?: SecretRef; ca_file?: string }>(
  smtp: T,
  file: string,
): T {
  return {
    ...smtp,
    ...(smtp.password === undefined ? {} : { password: resolveSecret(smtp.password, file) }),
    ...(smtp.ca_file === undefined ? {} : { ca_file: beside(file, smtp.ca_file) }),
  }
}
