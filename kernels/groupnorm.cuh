// What the kernels of group norm share: the geometry, and the gradient through SiLU.
#pragma once
#include "common.cuh"
#include "math.cuh"
#include "scalar.cuh"

// x[Batch, Spatial, Channels]; Geometry.cs declares the same.
struct GroupNormGeometry
{
    int batch, spatial, channels, groups;
    double epsilon;
};

// The gradient for z: gy itself, or with SiLU gy times its derivative, z being computed anew.
template <class T, bool Silu>
__device__ __forceinline__ float gradient_of_z(float gy, float xhat, float gamma, float beta)
{
    return Silu ? gy * silu_grad<T>(fmaf(xhat, gamma, beta)) : gy;
}
