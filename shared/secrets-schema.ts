// Keys of a service's configuration that say which secrets its program gets, and which folders of
// its own outlive it.

import { z } from 'zod'
import { describe, name } from './fields.ts'
import { freeVariable } from './image-schema.ts'
import { SECRET_BYTES_MAX, SECRET_FILE_PATTERN } from './wire.ts'

export const SECRETS_PER_SERVICE_MAX = 32
export const VOLUMES_PER_SERVICE_MAX = 16

const fileName = z
  .string()
  .max(128)
  .regex(SECRET_FILE_PATTERN)
  .meta({ expected: 'the name of a file like tls.key: letters, digits, ., _ and -' })

const delivery = z
  .strictObject({
    variable: describe(
      freeVariable(),
      'Environment variable that holds its value.',
    ).exactOptional(),
    file: describe(fileName, 'File in the folder $TUCANO_SECRETS that holds it.').exactOptional(),
  })
  .meta({ expected: '{variable: <NAME>} or {file: <name>}' })

export const secrets = z
  .record(name(), delivery)
  .refine((all) => Object.keys(all).length <= SECRETS_PER_SERVICE_MAX)
  .meta({
    expected: `at most ${SECRETS_PER_SERVICE_MAX} secrets like {api-key: {variable: API_KEY}}`,
  })

export const volumes = z
  .array(name())
  .max(VOLUMES_PER_SERVICE_MAX)
  .meta({ expected: `a list of at most ${VOLUMES_PER_SERVICE_MAX} names like [data]` })

/** A value: text that fits a variable and a file. It is never part of a message. */
export const secretValue = z
  .string()
  .min(1)
  .max(SECRET_BYTES_MAX)
  .refine(isSecretValue)
  .meta({
    expected:
      `text of 1..${SECRET_BYTES_MAX} bytes in UTF-8, without control characters ` +
      'but tab and line breaks',
    secret: true,
  })

export function isSecretValue(text: string): boolean {
  const isText = text.isWellFormed() && !/[^\P{Cc}\t\n\r]/u.test(text)
  return isText && text !== '' && Buffer.byteLength(text) <= SECRET_BYTES_MAX
}

/** The variable that holds the path of a volume: TUCANO_VOLUME_MY_DATA of `my-data`. */
export function volumeVariable(volume: string): string {
  return `TUCANO_VOLUME_${volume.toUpperCase().replaceAll('-', '_')}`
}
