// What the kernels of attention share. AttentionGeometry in Geometry.cs declares the same.
#pragma once

// q and y are [batch, query_length, heads, head_dim], k and v [batch, key_length, heads, head_dim].
struct AttentionGeometry
{
    int batch, heads, query_length, key_length, head_dim;
    double scale;
};
