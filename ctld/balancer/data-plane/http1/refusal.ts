// Decides how a refusal is told: as a negative number, so that nothing is allocated on the way,
// with the status and the reason in the head.

/** Returns minus the status. `reason`: what is wrong, without a subject. */
export function refuse(
  head: { status: number; reason: string },
  status: number,
  reason: string,
): number {
  head.status = status
  head.reason = reason
  return -status
}
