// Keys of a service's configuration that say on which nodes its instances run.

import { z } from 'zod'
import { affinityDefaults as defaults } from './defaults.ts'
import { describe, integer, labelKey, labelValue } from './fields.ts'

export const CONSTRAINTS_MAX = 32
export const LABEL_VALUES_MAX = 64
/** Stands for the name of the node among its labels. */
export const NODE_LABEL = 'node'

const values = z
  .array(labelValue())
  .min(1)
  .max(LABEL_VALUES_MAX)
  .meta({ expected: `a list of 1..${LABEL_VALUES_MAX} values` })

const condition = {
  label: describe(labelKey(), `Name of a label; \`${NODE_LABEL}\` is the node's name.`),
  in: describe(
    values,
    'It has one of these values. Without in and not_in: it is there.',
  ).exactOptional(),
  not_in: describe(values, 'It has none of these values, or is not there.').exactOptional(),
}

export const placement = z.enum(['round_robin', 'least_loaded', 'spread'])

export const spread = z.strictObject({
  label: describe(labelKey(), 'Instances are spread evenly over the values of this label.'),
})

export const constraints = z
  .array(z.strictObject(condition))
  .max(CONSTRAINTS_MAX)
  .meta({ expected: `at most ${CONSTRAINTS_MAX} conditions like {label: disk, in: [ssd]}` })

export const affinity = z
  .array(
    z.strictObject({
      ...condition,
      weight: describe(integer(1, 100), 'How much it counts beside the others.').default(
        defaults.weight,
      ),
    }),
  )
  .max(CONSTRAINTS_MAX)
  .meta({ expected: `at most ${CONSTRAINTS_MAX} wishes like {label: zone, in: [a], weight: 50}` })
