// The kinds of value that configurations are made of. Each says in words what it expects; the
// messages, the help and the reference are written from that.

import { isIP } from 'node:net'
import { z } from 'zod'
import type { SecretRef } from './configuration.ts'
import { DURATION_PATTERN, durationMs } from './duration.ts'
import type { KeyMeta } from './schema-keys.ts'
import { SIZE_PATTERN, sizeBytes } from './size.ts'
import { NAME_PATTERN } from './wire.ts'

export const ARGUMENTS_MAX = 256
export const ARGUMENT_LENGTH_MAX = 4_096

const httpToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const unprintable = /[\p{Cc}\u2028\u2029]/u

/** Adds what messages and documents say of this key. */
export function describe<S extends z.ZodType>(schema: S, description: string, more?: KeyMeta): S {
  return schema.meta({ ...(schema.meta() as KeyMeta), ...more, description }) as S
}

const expects = <S extends z.ZodType>(schema: S, expected: string): S =>
  schema.meta({ expected }) as S

/** One line of text: no control character, so it cannot forge a log line or a mail header. */
export function line(max: number, min = 1) {
  return expects(
    z
      .string()
      .min(min)
      .max(max)
      .refine((text) => !unprintable.test(text), { abort: true }),
    `text on one line, ${min}..${max} characters`,
  )
}

export function name() {
  return expects(
    z.string().max(63).regex(NAME_PATTERN),
    'a name: a-z, 0-9 and -, beginning with a letter or digit, at most 63 characters',
  )
}

export function integer(min: number, max: number) {
  return expects(z.int().min(min).max(max), `a whole number, ${min}..${max}`)
}

/** A duration such as `250ms` or `2s`; `min` and `max` are durations too. */
export function duration(min: string, max: string) {
  const inRange = (text: string) =>
    text.length <= 32 &&
    DURATION_PATTERN.test(text) &&
    durationMs(text) >= durationMs(min) &&
    durationMs(text) <= durationMs(max)
  return expects(z.string().refine(inRange), `a duration like 250ms, 2s or 10m, ${min}..${max}`)
}

/** A number of bytes such as `512KiB` or `1GiB`; `max` is a size too. */
export function size(max: string) {
  const inRange = (text: string) =>
    text.length <= 32 && SIZE_PATTERN.test(text) && sizeBytes(text) <= sizeBytes(max)
  return expects(z.string().refine(inRange), `a size like 512KiB, 10MiB or 1GiB, 0B..${max}`)
}

/** What HTTP calls a token (RFC 9110 section 5.6.2): the name of a header or a cookie. */
export function headerToken() {
  return expects(
    z.string().max(128).regex(httpToken),
    "a name of letters, digits and !#$%&'*+-.^_`|~, at most 128 characters",
  )
}

/** A port that is dialled, not opened. */
export function remotePort() {
  return expects(z.int().min(1).max(65_535), 'a port, 1..65535')
}

/** A port that one of our daemons opens. 22 is refused: taking ssh's port locks the admin out. */
export function listenPort() {
  return expects(
    z
      .int()
      .min(1)
      .max(65_535)
      .refine((port) => port !== 22),
    'a port, 1..65535, not 22 (ssh)',
  )
}

/** A port for a service's program. */
export function servicePort() {
  return expects(
    z
      .int()
      .max(65_535)
      .refine((port) => port === 80 || port === 443 || port >= 1_024),
    'a port: 80, 443 or 1024..65535 (the others below 1024 belong to the system, 22 to ssh)',
  )
}

export function ip() {
  return expects(z.string().refine(isAddress), 'an IPv4 or IPv6 address like 10.0.0.11')
}

/** The address of one machine, not one that stands for many. */
export function machineIp() {
  const many = new Set(['0.0.0.0', '::', '255.255.255.255'])
  return expects(
    ip().refine((address) => !many.has(canonicalAddress(address))),
    'an IPv4 or IPv6 address like 10.0.0.11',
  )
}

/** An address or a host name. */
export function host() {
  return expects(
    z.string().refine((text) => isAddress(text) || isHostname(text)),
    'an IP address or a host name',
  )
}

export function hostname() {
  return expects(
    z
      .string()
      .max(253)
      .toLowerCase()
      .refine((text) => isHostname(text)),
    'a host name like api.example.com, without port or wildcard',
  )
}

export function folder() {
  return expects(
    line(ARGUMENT_LENGTH_MAX).refine((text) => text.startsWith('/')),
    'an absolute path',
  )
}

export function filePath() {
  return expects(line(ARGUMENT_LENGTH_MAX), 'a path; relative ones start at the configuration file')
}

/** A program and its arguments. They are never given to a shell, hence the list. */
export function argv() {
  const argument = expects(
    z
      .string()
      .max(ARGUMENT_LENGTH_MAX)
      .refine((text) => !text.includes('\0')),
    `text of at most ${ARGUMENT_LENGTH_MAX} characters`,
  )
  return expects(
    z
      .array(argument)
      .min(1)
      .max(ARGUMENTS_MAX)
      .refine((words) => words[0] !== undefined && words[0] !== '' && !unprintable.test(words[0])),
    'a program and its arguments as a list, like [node, server.ts] (no shell)',
  )
}

const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/

export function environmentVariable() {
  return expects(
    z.string().max(128).regex(environmentName),
    'the name of an environment variable like SMTP_PASSWORD',
  )
}

export function secretRef() {
  const options = [
    z.strictObject({ file: describe(filePath(), 'File of mode 0600 that holds the secret.') }),
    z.strictObject({
      env: describe(environmentVariable(), 'Environment variable that holds the secret.'),
    }),
  ] as const
  return z.union(options).meta({
    expected: '{file: <path>} or {env: <VARIABLE>}',
    secret: true,
  }) satisfies z.ZodType<SecretRef>
}

const emailAddress = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([^@\s]{1,253})$/

export function email() {
  const isEmail = (text: string) => {
    const domain = text.length <= 320 ? emailAddress.exec(text)?.[1] : undefined
    return domain !== undefined && isHostname(domain)
  }
  return expects(z.string().refine(isEmail), 'an e-mail address like ops@example.com')
}

const labelName = /^[a-z0-9][a-z0-9._/-]{0,62}$/

export function labelKey() {
  return expects(z.string().max(63).regex(labelName), 'a label of a-z, 0-9, ., _, / and -')
}

export function labelValue() {
  return line(128, 0)
}

export function labels() {
  return expects(
    z.record(labelKey(), labelValue()).refine((labelled) => Object.keys(labelled).length <= 32),
    'at most 32 labels with a text each, like {zone: a}',
  )
}

export function isAddress(text: string): boolean {
  // A zone (fe80::1%eth0) means something on one machine only.
  return text.length <= 45 && !text.includes('%') && isIP(text) !== 0
}

/** One spelling for each address: `0:0:0:0:0:0:0:1` and `::1` are one. */
export function canonicalAddress(address: string): string {
  if (isIP(address) !== 6 || address.includes('%')) return address
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

const hostnameLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

export function isHostname(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false
  const parts = text.split('.')
  // An all-digit last part is a mistyped IPv4 address (RFC 3696 section 2).
  return parts.every((part) => hostnameLabel.test(part)) && !/^\d+$/.test(parts.at(-1) ?? '')
}
