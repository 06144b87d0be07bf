/** A disk's place for the book of a server that stopped cleanly: it is taken once. */
import type { BookStore, HandedOver } from '../../lib/server/book-file.ts'

export function memoryBooks(book: { content: HandedOver | undefined }): BookStore {
  return {
    take(done) {
      const { content } = book
      book.content = undefined
      done(content)
    },
    write(content, done) {
      book.content = content
      done()
    },
  }
}
