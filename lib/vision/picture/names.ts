/** Names that pictures have. */

/** What a folder is searched for. */
export const pictureName: RegExp = /\.(?:png|bmp|dib|jpe?g|webp|gif|avif|tiff?|svg|heic|jxl)$/i
