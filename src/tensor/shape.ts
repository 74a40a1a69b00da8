/** Shapes of dense tensors, outermost dimension first: a weight is `[rows, columns]`, an activation `[rows, channels]`. */
export type Shape = readonly number[];

/** The number of elements. */
export const size = (shape: Shape): number => shape.reduce((n, dim) => n * dim, 1);
