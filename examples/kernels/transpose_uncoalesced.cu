// SLOW ON PURPOSE: y[n, n] = the transpose of x[n, n], n a multiple of 32.
//
// The threads of a warp read neighbouring elements of a row of x, one piece of 128 bytes. They write down a column of y: 32 pieces of 32
// bytes, of which 4 are used each. The counters show 4 sectors for each read and 32 for each write; transpose_tiled.cu has 4 for both.
//
// rawdiffusion kernels run examples/kernels/transpose_uncoalesced.cu --grid 4,4 --block 32,8 --args 128 f32:16384=range f32:16384 --counted
__global__ void transpose(int n, const float* x, float* y)
{
    int column = blockIdx.x * 32 + threadIdx.x;
    for (int row = blockIdx.y * 32 + threadIdx.y; row < (blockIdx.y + 1) * 32; row += blockDim.y)
        y[column * n + row] = x[row * n + column];
}
