/** What a page of the playground is: a folder with a page.ts that exports `page`. */

export interface Page {
  /** Of the document, and the page's h1 where it draws none of its own. */
  title: string
  /**
   * Draws the page.
   *
   * @param root empty
   */
  mount(root: HTMLElement): void | Promise<void>
}
