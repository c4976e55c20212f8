export const root: string
export function smallPictures(): Buffer[]
export function writePictures(folder: string, count: number): void
