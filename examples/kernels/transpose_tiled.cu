// y[n, n] = the transpose of x[n, n], n a multiple of 32, with reads and writes that are both coalesced.
//
// A block takes a tile of 32 x 32 elements into shared memory row by row and writes it out column by column, so that the threads of a
// warp always write neighbouring elements of y. The tile's rows have 33 places: with 32, the elements of a column would all lie in the
// same of the 32 banks (--define PITCH=32 shows it).
//
// rawdiffusion kernels run examples/kernels/transpose_tiled.cu --grid 4,4 --block 32,8 --args 128 f32:16384=range f32:16384 --counted
#ifndef PITCH
#define PITCH 33
#endif

__global__ void transpose(int n, const float* x, float* y)
{
    __shared__ float tile[32][PITCH];
    int left = blockIdx.x * 32, top = blockIdx.y * 32;
    for (int row = threadIdx.y; row < 32; row += blockDim.y)
        tile[row][threadIdx.x] = x[(top + row) * n + left + threadIdx.x];
    __syncthreads();
    for (int row = threadIdx.y; row < 32; row += blockDim.y)
        y[(left + row) * n + top + threadIdx.x] = tile[threadIdx.x][row];
}
