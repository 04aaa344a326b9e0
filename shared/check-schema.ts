// Keys of a service's configuration that say how it is known whether an instance works.

import { z } from 'zod'
import { checkDefaults, serviceDefaults as defaults } from './defaults.ts'
import { argv, describe, duration, headerToken, integer, line } from './fields.ts'
import { BODY_PIECES_MAX, HEADERS_MAX, STATUS_RANGES_MAX } from './wire-checks.ts'

export const PATH_LENGTH_MAX = 2_048

/** Of one text that an answer must contain. */
export const BODY_PIECE_LENGTH_MAX = 256

const checkPathPattern = /^\/[!-"$-~]*$/
const statusPattern = /^[1-5]\d\d(?:-[1-5]\d\d)?$/
/** How a request is carried is the agent's own matter. */
const ownHeaders = new Set(['connection', 'content-length', 'expect', 'te', 'trailer', 'upgrade'])
ownHeaders.add('transfer-encoding')

const checkPath = z
  .string()
  .max(PATH_LENGTH_MAX)
  .regex(checkPathPattern)
  .refine((path) => !path.startsWith('//'))
  .meta({ expected: 'a path like /health' })

export const health = z.strictObject({
  path: describe(
    checkPath,
    'Path that answers 2xx or 3xx when the program is healthy. Absent: a TCP connect.',
  ).exactOptional(),
  interval: describe(duration('100ms', '1h'), 'Time between two checks.').default(
    defaults.health.interval,
  ),
  timeout: describe(duration('50ms', '10m'), 'How long a check may take.').default(
    defaults.health.timeout,
  ),
  fall: describe(integer(1, 100), 'Failed checks in a row that make it unhealthy.').default(
    defaults.health.fall,
  ),
  rise: describe(integer(1, 100), 'Passed checks in a row that make it healthy again.').default(
    defaults.health.rise,
  ),
  start_timeout: describe(
    duration('100ms', '1h'),
    'How long it may take to become healthy after its start.',
  ).default(defaults.health.start_timeout),
})

const statusRule = z.union([
  z.int().min(100).max(599),
  z
    .string()
    .regex(statusPattern)
    .refine((text) => Number(text.slice(0, 3)) <= Number(text.slice(-3))),
])

const status = z
  .union([statusRule, z.array(statusRule).min(1).max(STATUS_RANGES_MAX)])
  .meta({ expected: 'a status like 204, a range like 200-299, or a list of such' })

const sentHeaders = z
  .record(headerToken(), line(BODY_PIECE_LENGTH_MAX * 16, 0))
  .refine((headers) => Object.keys(headers).length <= HEADERS_MAX)
  .refine((headers) => Object.keys(headers).every((name) => !ownHeaders.has(name.toLowerCase())))
  .meta({ expected: `at most ${HEADERS_MAX} headers like {X-Probe: "1"}, none about the transfer` })

const answeredHeaders = z
  .record(headerToken(), line(BODY_PIECE_LENGTH_MAX, 0))
  .refine((headers) => Object.keys(headers).length <= HEADERS_MAX)
  .meta({ expected: `at most ${HEADERS_MAX} headers like {Content-Type: json}` })

const piece = line(BODY_PIECE_LENGTH_MAX)

// Texts in their order and not a regular expression: they are found in linear time, whatever the
// program answers.
const answerBody = z.union([piece, z.array(piece).min(1).max(BODY_PIECES_MAX)]).meta({
  expected: `text of 1..${BODY_PIECE_LENGTH_MAX} characters, or a list of 1..${BODY_PIECES_MAX}`,
})

const http = z.strictObject({
  path: describe(checkPath, 'Path that is asked for with GET; no redirect is followed.'),
  status: describe(status, 'Statuses that pass.').default(checkDefaults.status),
  headers: describe(sentHeaders, 'Sent with the request.', { secret: true }).prefault({}),
  answer_headers: describe(
    answeredHeaders,
    'Headers that the answer must have; their value must contain the text.',
  ).prefault({}),
  answer_body: describe(
    answerBody,
    'What the first 64 KiB of the body must contain; of a list, one behind the other.',
  ).exactOptional(),
})

function check(words: { rise: string; fall: string; fallWithout: string; riseWithout: string }) {
  const fallback = (key: string) => ({ fallback: `\`health.${key}\`` })
  return z.strictObject({
    http: describe(http, 'An HTTP request must be answered like this.').exactOptional(),
    tcp: describe(z.literal(true), 'A TCP connect must succeed.').exactOptional(),
    command: describe(
      argv(),
      "Run in the program's folder with its environment; exit code 0 passes.",
    ).exactOptional(),
    interval: describe(
      duration('100ms', '1h'),
      'Time between two checks.',
      fallback('interval'),
    ).exactOptional(),
    timeout: describe(
      duration('50ms', '10m'),
      'How long a check may take. A command is killed then.',
      fallback('timeout'),
    ).exactOptional(),
    rise: describe(integer(1, 100), words.rise, { fallback: words.riseWithout }).exactOptional(),
    fall: describe(integer(1, 100), words.fall, { fallback: words.fallWithout }).exactOptional(),
  })
}

const startup = check({
  rise: 'Passed checks in a row that end the start.',
  riseWithout: '`1`',
  fall: 'Failed checks in a row that end the start badly, before its time is over.',
  fallWithout: 'none',
})

const readiness = check({
  rise: 'Passed checks in a row that make it healthy again; the first time one is enough.',
  riseWithout: '`health.rise`',
  fall: 'Failed checks in a row that make it unhealthy.',
  fallWithout: '`health.fall`',
})

const liveness = check({
  rise: 'Passed checks in a row that make former failures forgotten.',
  riseWithout: '`1`',
  fall: 'Failed checks in a row after which it is restarted.',
  fallWithout: '`health.fall`',
})

export const checks = z.strictObject({
  startup: describe(
    startup,
    'While it has not passed, the others are not asked. Absent: the check of readiness.',
  ).exactOptional(),
  readiness: describe(
    readiness,
    'While it fails, requests go elsewhere; it is never restarted for that.',
  ).exactOptional(),
  liveness: describe(liveness, 'When it fails, the program is restarted.').exactOptional(),
})

export const onPartition = z
  .union([
    z.literal('keep'),
    z.strictObject({
      stop_after: describe(
        duration('5s', '1d'),
        'Stop after this silence, and no sooner than three of the publish intervals of the agent.',
      ),
    }),
  ])
  .meta({ expected: 'keep, or a silence after which it is stopped, like {stop_after: 30s}' })
