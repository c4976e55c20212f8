export function malform(
  address: string,
  options: { count: number; seed: number; picture: Uint8Array; clients?: number },
): Promise<{ statuses: Record<string, number>; hung: number }>
