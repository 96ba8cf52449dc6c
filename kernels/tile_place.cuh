// Which tile of a product a block makes.
#pragma once

// The tile of a block, blocks being numbered by product (of a batch, a group, a phase, a part), row and column of the tile.
struct TilePlace
{
    int product, row, column;
};

// rows x columns is the size of the product; the place is given by its first element. Neighbouring blocks share the rows of the left factor.
template <class Shape>
__device__ __forceinline__ TilePlace tile_place(int rows, int columns)
{
    int across = (columns + Shape::Columns - 1) / Shape::Columns, down = (rows + Shape::Rows - 1) / Shape::Rows;
    int line = blockIdx.x / across, product = line / down;
    return {product, (line - product * down) * Shape::Rows, ((int)blockIdx.x - line * across) * Shape::Columns};
}
