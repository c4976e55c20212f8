/** Files that another file names: only below its own folder, links followed. */
import { realpathSync } from 'node:fs'
import { isAbsolute, join, relative, sep, win32 } from 'node:path'

/**
 * The real path of the file that `location` names below one of `folders`; undefined when it lies elsewhere.
 *
 * @param location relative to the first of the folders; it may not climb, not even to come back
 * @param folders below any of them it may lie, once links are followed
 * @throws what the system says of a path that is not there
 */
export function locateBelow(
  location: string,
  ...folders: readonly [string, ...string[]]
): string | undefined {
  const climbs = location.split(/[\\/]/).includes('..')
  if (location === '' || isAbsolute(location) || win32.isAbsolute(location) || climbs) return undefined
  const path = realpathSync(join(folders[0], location))
  return folders.some((folder) => isBelow(path, realpathSync(folder))) ? path : undefined
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}
