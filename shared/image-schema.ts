// Keys of a service's configuration that say what its program is: the image and the environment.

import { z } from 'zod'
import { serviceDefaults as defaults } from './defaults.ts'
import { argv, describe, duration, environmentVariable, filePath } from './fields.ts'
import { DIGEST_PATTERN } from './wire.ts'

export const ENV_COUNT_MAX = 128
export const ENV_BYTES_MAX = 64 * 1024
export const ENV_VALUE_LENGTH_MAX = 32_768
export const BUILD_COMMANDS_MAX = 16

const reservedVariable = /^(?:PORT|TUCANO_.*)$/

export const image = z.strictObject({
  digest: describe(
    z.string().regex(DIGEST_PATTERN).meta({ expected: '`sha256:` and 64 hex digits' }),
    'The packed files, stored by the controller. Only in the API, never in a file.',
  ).exactOptional(),
  path: describe(
    filePath(),
    'Folder of the program; packed and sent. Relative to this file.',
  ).exactOptional(),
  archive: describe(
    filePath(),
    'The program as a .tar.gz; sent as it is. Relative to this file.',
  ).exactOptional(),
  build: describe(
    z.array(argv()).max(BUILD_COMMANDS_MAX),
    'Commands that build it, in order, once on each worker.',
    { expected: `at most ${BUILD_COMMANDS_MAX} commands like [[npm, ci], [npm, run, build]]` },
  ).prefault([]),
  build_timeout: describe(duration('1s', '2h'), 'How long the whole build may take.').default(
    defaults.image.build_timeout,
  ),
  run: describe(argv(), 'The command that runs it. It reads its port from PORT.'),
})

const environmentValue = z
  .string()
  .max(ENV_VALUE_LENGTH_MAX)
  .refine((text) => !text.includes('\0'))
  .meta({
    expected: `text of at most ${ENV_VALUE_LENGTH_MAX} characters (put numbers in quotes)`,
    secret: true,
  })

/** A variable that a user may name. */
export function freeVariable() {
  return environmentVariable()
    .refine((key) => !reservedVariable.test(key))
    .meta({
      expected: 'the name of a variable like LOG_LEVEL (PORT and TUCANO_* are given by the agent)',
    })
}

export const env = z
  .record(freeVariable(), environmentValue)
  .refine(
    (values) =>
      Object.keys(values).length <= ENV_COUNT_MAX && environmentBytes(values) <= ENV_BYTES_MAX,
  )
  .meta({
    expected: `at most ${ENV_COUNT_MAX} variables like {LOG_LEVEL: info}, ${ENV_BYTES_MAX} bytes in all`,
  })

function environmentBytes(values: Readonly<Record<string, string>>): number {
  return Object.entries(values).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2,
    0,
  )
}
