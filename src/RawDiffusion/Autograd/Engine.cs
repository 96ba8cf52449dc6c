namespace RawDiffusion;

/// <summary>
/// Walks the tape from outputs to inputs. Nodes are visited in falling order of <see cref="Function.Sequence"/>, which is a
/// topological order because a function is made after its inputs.
/// </summary>
internal static class Engine
{
    [ThreadStatic]
    private static List<Function>? s_spareNodes;

    private static int s_visit;

    internal static void Backward(Tensor output, Tensor? gradient, bool retainGraph, bool createGraph)
    {
        Run(output, SeedGradient(output, gradient), inputs: [], gradients: [], retainGraph, createGraph);
    }

    /// <summary>Gradients of one output with respect to <paramref name="inputs"/>; leaves' Grad fields are left alone.</summary>
    internal static Tensor?[] Gradients(Tensor output, ReadOnlySpan<Tensor> inputs, Tensor? gradient, bool retainGraph, bool createGraph)
    {
        var gradients = new Tensor?[inputs.Length];
        Run(output, SeedGradient(output, gradient), inputs, gradients, retainGraph, createGraph);
        return gradients;
    }

    private static Tensor SeedGradient(Tensor output, Tensor? gradient)
    {
        if (!output.RequiresGrad)
            throw new InvalidOperationException($"Backward: the tensor of shape {output.Shape} does not depend on anything that requires gradients.");
        if (gradient is null)
        {
            if (output.Count != 1)
                throw new InvalidOperationException($"Backward: a tensor of shape {output.Shape} is not a scalar, so its gradient must be given.");
            return Tensor.Ones(output.Shape, output.Device);
        }
        if (gradient.Shape != output.Shape)
            throw new ArgumentException($"Backward: the gradient has shape {gradient.Shape}, the tensor {output.Shape}.");
        return gradient;
    }

    private static void Run(
        Tensor output, Tensor seed, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients, bool retainGraph, bool createGraph)
    {
        bool mode = GradMode.Set(createGraph);
        var nodes = s_spareNodes ?? [];
        s_spareNodes = null;
        try
        {
            int visit = Interlocked.Increment(ref s_visit);
            Collect(output.Producer, nodes, visit);
            nodes.Sort(static (a, b) => a.Sequence.CompareTo(b.Sequence));
            MarkNeeded(nodes, inputs, visit);
            // One hold of our own: the seed belongs to the caller and is never released here.
            seed.Storage.Holds++;
            Deliver(output, seed, visit, inputs, gradients);
            for (int i = nodes.Count - 1; i >= 0; i--)
            {
                if (nodes[i].Pending is not null)
                    Step(nodes[i], visit, inputs, gradients, createGraph);
                if (!retainGraph && !createGraph)
                    nodes[i].Consume();
            }
            seed.Storage.Holds--;
            foreach (var gradient in gradients)
            {
                if (gradient is not null)
                    gradient.Storage.Holds--;
            }
        }
        finally
        {
            foreach (var node in nodes)
                node.Pending = null;
            nodes.Clear();
            s_spareNodes = nodes;
            GradMode.Set(mode);
        }
    }

    /// <summary>Every node below <paramref name="root"/>, in any order.</summary>
    private static void Collect(Function? root, List<Function> nodes, int visit)
    {
        if (root is null)
            return;
        root.Visit = visit;
        nodes.Add(root);
        for (int i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].IsConsumed)
                throw new InvalidOperationException(
                    $"Backward: the tape of {nodes[i].Name} has been freed by an earlier backward pass. Ask that pass for retainGraph: true.");
            foreach (var input in nodes[i].Inputs)
            {
                if (input.Producer is not { } producer || producer.Visit == visit)
                    continue;
                producer.Visit = visit;
                nodes.Add(producer);
            }
        }
    }

    /// <summary>
    /// Tells every node which inputs need a gradient: with no named inputs all that require one, else only those on a way to
    /// a named one. Nodes on no such way lose their mark and are skipped.
    /// </summary>
    private static void MarkNeeded(List<Function> nodes, ReadOnlySpan<Tensor> inputs, int visit)
    {
        foreach (var node in nodes)
        {
            ulong needed = 0;
            for (int i = 0; i < Math.Min(node.Inputs.Length, 64); i++)
            {
                var input = node.Inputs[i];
                bool wanted = input.RequiresGrad
                    && (inputs.Length == 0 || IndexOf(inputs, input) >= 0 || input.Producer is { } producer && producer.Visit == visit);
                if (wanted)
                    needed |= 1ul << i;
            }
            node.SetNeeded(needed);
            if (needed == 0 && node.Inputs.Length <= 64)
                node.Visit = -visit;
        }
    }

    private static void Step(Function node, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients, bool createGraph)
    {
        if (createGraph && !node.SupportsCreateGraph)
            throw new InvalidOperationException(
                $"{node.Name} has no second derivative: its backward pass is one fused kernel. Compose it from plain operations where createGraph is needed.");
        var gradOutput = node.Pending!;
        node.Pending = null;
        var inline = new GradientSlots();
        Span<Tensor?> slots = node.Inputs.Length <= GradientSlots.Length ? inline[..node.Inputs.Length] : new Tensor?[node.Inputs.Length];
        if (createGraph)
        {
            node.RunBackward(gradOutput, slots);
            Route(node, slots, visit, inputs, gradients);
            gradOutput.Storage.Holds--;
            return;
        }
        // What a backward pass computes on the way dies with this scope; the gradients go on to the scope around it.
        using (var scope = new MemoryScope())
        {
            node.RunBackward(gradOutput, slots);
            foreach (var gradient in slots)
            {
                if (gradient is not null)
                    scope.Keep(gradient);
            }
        }
        Route(node, slots, visit, inputs, gradients);
        // A gradient that was only added to a leaf's has done its work. Function passes the ownership of what it returns to
        // the engine, except gradOutput itself and views of inputs.
        foreach (var gradient in slots)
        {
            if (gradient is { IsAlive: true } && gradient.Storage.Holds == 0
                && !ReferenceEquals(gradient.Storage, gradOutput.Storage) && !IsStorageOfInput(node, gradient))
                MemoryScope.ReleaseEarly(gradient.Storage);
        }
        if (--gradOutput.Storage.Holds == 0)
            MemoryScope.ReleaseEarly(gradOutput.Storage);
    }

    private static void Route(Function node, Span<Tensor?> slots, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients)
    {
        for (int i = 0; i < slots.Length; i++)
        {
            if (slots[i] is not { } gradient || !node.Inputs[i].RequiresGrad)
                continue;
            if (gradient.Shape != node.Inputs[i].Shape)
                throw new InvalidOperationException(
                    $"{node.Name} backward returned a gradient of shape {gradient.Shape} for input {i} of shape {node.Inputs[i].Shape}.");
            Deliver(node.Inputs[i], gradient, visit, inputs, gradients);
        }
    }

    /// <summary>Adds a gradient to what a tensor has received so far: as a named input, as a node still to be visited, as a leaf.</summary>
    private static void Deliver(Tensor tensor, Tensor gradient, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients)
    {
        int named = IndexOf(inputs, tensor);
        if (named >= 0)
            gradients[named] = Sum(gradients[named], gradient);
        if (tensor.Producer is { } producer)
        {
            if (producer.Visit == visit)
                producer.Pending = Sum(producer.Pending, gradient);
        }
        else if (inputs.Length == 0)
        {
            tensor.AccumulateGrad(gradient);
        }
    }

    private static Tensor Sum(Tensor? sum, Tensor gradient)
    {
        if (sum is null)
        {
            gradient.Storage.Holds++;
            return gradient;
        }
        var total = sum + gradient;
        total.Storage.Holds++;
        if (--sum.Storage.Holds == 0 && !total.RequiresGrad)
            MemoryScope.ReleaseEarly(sum.Storage);
        return total;
    }

    private static int IndexOf(ReadOnlySpan<Tensor> tensors, Tensor tensor)
    {
        for (int i = 0; i < tensors.Length; i++)
        {
            if (ReferenceEquals(tensors[i], tensor))
                return i;
        }
        return -1;
    }

    private static bool IsStorageOfInput(Function node, Tensor gradient)
    {
        foreach (var input in node.Inputs)
        {
            if (ReferenceEquals(input.Storage, gradient.Storage))
                return true;
        }
        return false;
    }

    [System.Runtime.CompilerServices.InlineArray(Length)]
    private struct GradientSlots
    {
        public const int Length = 8;
        private Tensor? _first;
    }
}
