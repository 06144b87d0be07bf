/**
 * An emitter for what there is a lot of, mostly without a listener.
 *
 * What its constructor makes at once, a table for listeners, its methods make with the first of them as well, and without
 * one they do nothing: the runtime keeps to that for classes from before there was `class`.
 */
import { EventEmitter } from 'node:events'

function Emitter(): void {}
Emitter.prototype = EventEmitter.prototype

export const LazyEmitter = Emitter as unknown as typeof EventEmitter
